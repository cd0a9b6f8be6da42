/** IA64 (IPF) processor error section: the SAL error record of the processor, defined outside UEFI (UEFI 2.11 N.2.4.3). */
import { blob, type Encodable, type Parsed, type SectionType, sequence } from "../../layout/index.ts";

export const IpfProcessor = sequence("IPF Processor Error", "UEFI 2.11 N.2.4.3; Itanium SAL specification, appendix B", () => ({
  salRecord: blob("SAL processor device error information, kept as it is"),
}));
export type IpfProcessor = Parsed<typeof IpfProcessor>;
export type IpfProcessorInput = Encodable<typeof IpfProcessor>;

export const ipf: SectionType = {
  guids: ["e429faf1-3cb7-11d4-bca7-0080c73c8881"],
  name: "ipf",
  title: "IPF processor error",
  layout: IpfProcessor,
};
