/** The registers of the machine-check architecture, bit by bit. */
import { bits, decode, encode, type Layout, type StructNode, struct } from "../../layout/index.ts";

const SOURCE = "Intel SDM volume 3B, chapter 17";
const AMD = "AMD processor programming reference, MCA registers";

/** What both vendors agree on: the top bits of a bank's status. */
const common = { addressValid: 58, miscValid: 59, enabled: 60, uncorrected: 61, overflow: 62, valid: 63 } as const;

export const IntelStatus = struct("MCi_STATUS", 8, `${SOURCE}, IA32_MCi_STATUS`, () => ({
  register: bits(8, "Status of a bank", {
    code: [0, 16],
    modelSpecificCode: [16, 16],
    otherInformation: [32, 5],
    firmwareUpdated: 37,
    correctedCount: [38, 15],
    threshold: { at: [53, 2], names: { noTracking: [0, "not tracked"], green: 1, yellow: 2, reserved: 3 } },
    actionRequired: 55,
    signalled: 56,
    processorContextCorrupt: 57,
    ...common,
  }),
}));

export const AmdStatus = struct("MCA_STATUS", 8, `${AMD}; Linux mce_amd.c behaviour`, () => ({
  register: bits(8, "Status of a bank of a scalable machine-check processor", {
    code: [0, 16],
    extendedCode: [16, 6],
    addressLeastSignificantBit: [24, 6],
    coreId: [32, 6],
    scrub: 40,
    poison: 43,
    deferred: 44,
    uncorrectedEcc: 45,
    correctedEcc: 46,
    syndromeValid: 53,
    physicalAddressValid: 54,
    taskContextCorrupt: 55,
    coreIdValid: 56,
    processorContextCorrupt: 57,
    ...common,
  }),
}));

export const McgStatus = struct("MCG_STATUS", 8, `${SOURCE}, IA32_MCG_STATUS`, () => ({
  register: bits(8, "State of the processor when the machine check came", {
    restartInstructionPointerValid: 0,
    errorInstructionPointerValid: 1,
    machineCheckInProgress: 2,
    localMachineCheck: 3,
    seamModuleRunning: 12,
  }),
}));

export const McgCapability = struct("MCG_CAP", 8, `${SOURCE}, IA32_MCG_CAP`, () => ({
  register: bits(8, "What the processor's machine-check architecture offers", {
    bankCount: [0, 8],
    controlRegister: 8,
    extendedRegisters: 9,
    correctedMachineCheckInterrupt: 10,
    thresholdStatus: 11,
    extendedRegisterCount: [16, 8],
    softwareErrorRecovery: 24,
    enhancedMachineCheck: 25,
    extendedErrorLogging: 26,
    localMachineCheck: 27,
  }),
}));

export const IntelMisc = struct("MCi_MISC", 8, `${SOURCE}, IA32_MCi_MISC`, () => ({
  register: bits(8, "More about the address", {
    addressLeastSignificantBit: [0, 6],
    addressMode: { at: [6, 3], names: { segmentOffset: 0, linear: 1, physical: 2, memory: 3, generic: 7 } },
  }),
}));
/** The same register for error code 0x0e0b, an I/O error of a PCIe root port. */
export const IntelRootPortMisc = struct("MCi_MISC of a root port", 8, `${SOURCE}, I/O errors`, () => ({
  register: bits(8, "The root port that reported", { function: [16, 3], device: [19, 5], bus: [24, 8], segment: [32, 8] }),
}));

export const AmdMisc0 = struct("MCA_MISC0", 8, AMD, () => ({
  register: bits(8, "Error counter of the bank", {
    errorCount: [32, 12],
    counterOverflow: 48,
    interruptType: [49, 2],
    counting: 51,
    interruptOffset: [52, 4],
    interruptEnabled: 60,
    locked: 61,
    counterPresent: 62,
    valid: 63,
  }),
}));

export const AmdConfiguration = struct("MCA_CONFIG", 8, AMD, () => ({
  register: bits(8, "What the bank's registers hold", {
    scalable: 0,
    addressLsbInStatus: 8,
    fruTextInSyndrome: 9,
    physicalAddressValidSupported: 11,
  }),
}));

export const AmdIpId = struct("MCA_IPID", 8, AMD, () => ({
  register: bits(8, "Which block of the processor the bank belongs to", {
    instanceId: [0, 32],
    hardwareId: [32, 12],
    instanceIdHigh: [44, 4],
    mcaType: [48, 16],
  }),
}));

type Register<T> = Layout<{ register: T }, "required", Omit<StructNode, "fields">>;
/** Split a 64-bit register by its layout. */
export function readRegister<T>(layout: Register<T>, value: bigint): T {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return (decode(layout as never, bytes) as { register: T }).register;
}
/** The inverse: a 64-bit register from its members. @throws EncodeError when a member does not fit. */
export function registerWord<T>(layout: Register<T>, value: T): bigint {
  const bytes = encode(layout as never, { register: value } as never);
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
}
