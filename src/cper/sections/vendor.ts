/** All section types of vendors and operating systems; the registry takes them after those of UEFI. */
import type { SectionType } from "../../layout/index.ts";
import { amdGpuSections } from "./amd-gpu.ts";
import { amiFirmwareHealth } from "./ami-health.ts";
import { ampereSections } from "./ampere.ts";
import { hisiliconSections } from "./hisilicon.ts";
import { jaguarMicroSections } from "./jaguar-micro.ts";
import { linuxPstoreSections } from "./linux-pstore.ts";
import { gb10 } from "./mediatek.ts";
import { nvidiaSections } from "./nvidia.ts";
import { muTelemetry } from "./project-mu.ts";
import { storPort } from "./storport.ts";
import { wheaArmSections } from "./whea-arm.ts";
import { wheaMachineCheck } from "./whea-machine-check.ts";
import { wheaMemorySections } from "./whea-memory.ts";
import { wheaPacketSections } from "./whea-packet.ts";
import { wheaPcieSections } from "./whea-pcie.ts";
import { wheaRecovery, wheaRecoveryPrerelease } from "./whea-recovery.ts";
import { yitianDdr } from "./yitian.ts";

const plain: readonly SectionType[] = [
  wheaMachineCheck,
  wheaRecovery,
  wheaRecoveryPrerelease,
  ...wheaMemorySections,
  ...wheaPcieSections,
  ...wheaArmSections,
  muTelemetry,
  storPort,
  amiFirmwareHealth,
  ...nvidiaSections,
  ...ampereSections,
  ...hisiliconSections,
  ...amdGpuSections,
  yitianDdr,
  ...jaguarMicroSections,
  ...linuxPstoreSections,
  gb10,
];

/** The types of vendors, some of which hold sections of other types: of `standard` too. */
export const vendorSections = (standard: readonly SectionType[]): readonly SectionType[] => [...plain, ...wheaPacketSections(standard, plain)];
