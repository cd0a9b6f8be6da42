/** The section types this package knows. A new family is one file under `sections/` and its lines here. */
import { SectionRegistry, type SectionType } from "../layout/index.ts";
import { armProcessor } from "./sections/arm-processor.ts";
import { armRasNode } from "./sections/arm-ras.ts";
import { ccixPer } from "./sections/ccix.ts";
import {
  cxlDram,
  cxlDynamicCapacity,
  cxlGeneralMedia,
  cxlMemoryModule,
  cxlMemorySparing,
  cxlMldPort,
  cxlPhysicalSwitch,
  cxlVirtualSwitch,
} from "./sections/cxl-event.ts";
import { cxlProtocol } from "./sections/cxl-protocol.ts";
import { dmarGeneric, iommuDmar, vtdDmar } from "./sections/dmar.ts";
import { firmwareErrorRecordReference } from "./sections/firmware-reference.ts";
import { ia32x64Processor } from "./sections/ia32x64.ts";
import { ipf } from "./sections/ipf.ts";
import { platformMemory, platformMemory2 } from "./sections/memory.ts";
import { fruMemoryPoison } from "./sections/memory-poison.ts";
import { pciBus, pciComponent } from "./sections/pci.ts";
import { pcie } from "./sections/pcie.ts";
import { processorGeneric } from "./sections/processor-generic.ts";
import { vendorSections } from "./sections/vendor.ts";
import { withVendorContents } from "./sections/vendor-contents.ts";

const standard: readonly SectionType[] = [
  platformMemory,
  platformMemory2,
  processorGeneric,
  ia32x64Processor,
  ipf,
  armProcessor,
  pcie,
  pciBus,
  pciComponent,
  firmwareErrorRecordReference,
  dmarGeneric,
  vtdDmar,
  iommuDmar,
  ccixPer,
  cxlProtocol,
  cxlGeneralMedia,
  cxlDram,
  cxlMemoryModule,
  cxlMemorySparing,
  cxlPhysicalSwitch,
  cxlVirtualSwitch,
  cxlMldPort,
  cxlDynamicCapacity,
  fruMemoryPoison,
  armRasNode,
];

export const sectionTypes = new SectionRegistry([...withVendorContents(standard), ...vendorSections(standard)]);
