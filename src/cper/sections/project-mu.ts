/** Project Mu's telemetry section (microsoft/mu_plus MsWheaPkg). */

import { bits, guid, hexNumber, orZero, type Parsed, reserved, type SectionType, struct, u64, valueLabel, ZERO_GUID } from "../../layout/index.ts";

const CODE_CLASS = { computingUnit: 0, peripheral: 1, ioBus: [2, "I/O bus"], software: 3 } as const;

export const MuTelemetry = struct(
  "Project Mu Telemetry",
  56,
  "microsoft/mu_plus MsWheaPkg, MU_TELEMETRY_CPER_SECTION_DATA; PI 1.8 volume 3, 6 status codes",
  () => ({
    componentId: orZero(guid("Component that reported")),
    subComponentId: orZero(guid("Part of the component")),
    reserved: reserved(4),
    statusCode: bits(4, "EFI status code value", {
      operation: [0, 16],
      subclass: [16, 8],
      class: { at: [24, 8], names: CODE_CLASS },
    }),
    additionalInfo1: orZero(u64("More, by the component's own rules")),
    additionalInfo2: orZero(u64("More, by the component's own rules")),
  }),
);
export type MuTelemetry = Parsed<typeof MuTelemetry>;

export const muTelemetry: SectionType = {
  guids: ["85183a8b-9c41-429c-939c-5c3c087ca280"],
  name: "muTelemetry",
  title: "Project Mu telemetry",
  layout: MuTelemetry,
  summary: ({ statusCode: code, componentId, additionalInfo1, additionalInfo2 }: MuTelemetry) =>
    [
      code === undefined
        ? ""
        : `${valueLabel(CODE_CLASS, code.class ?? 0)} status code, subclass ${hexNumber(code.subclass ?? 0)}, operation ${hexNumber(code.operation ?? 0)}`,
      componentId && componentId !== ZERO_GUID ? `component ${componentId}` : "",
      additionalInfo1 ? `information ${hexNumber(additionalInfo1)}` : "",
      additionalInfo2 ? `and ${hexNumber(additionalInfo2)}` : "",
    ]
      .filter((part) => part !== "")
      .join(", "),
};
