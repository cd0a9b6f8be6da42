/** The section of MediaTek/NVIDIA GB10 firmware: its GUID is known from machines, its layout is not public. */
import { blob, type Parsed, type SectionType, sequence } from "../../layout/index.ts";

const SOURCE = "seen in records; no definition is public";
export const Gb10 = sequence("GB10 Error", SOURCE, () => ({ data: blob("The firmware's data, opaque") }));

export const gb10: SectionType = {
  guids: ["3c1e3f4b-1e1a-43df-af28-59820e958e3c"],
  name: "gb10",
  title: "MediaTek/NVIDIA GB10 error",
  layout: Gb10,
  summary: (body: Parsed<typeof Gb10>) => `${body.data?.length ?? 0} bytes`,
  secondHand: SOURCE,
};
