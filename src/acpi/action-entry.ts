/** The serialization and injection instructions of ERST and EINJ: one layout, two vocabularies. */
import { bits, type Decoded, type Encodable, initially, type Names, oneOf, reserved, struct, u64 } from "../layout/index.ts";
import { GenericAddress } from "./generic-address.ts";

const actionEntry = <const A extends Names, const I extends Names>(name: string, source: string, actions: A, instructions: I) =>
  struct(name, 32, source, () => ({
    action: oneOf(1, "The action this entry is a step of", actions),
    instruction: oneOf(1, "What this step does", instructions),
    flags: bits(1, "How it writes", { preserveRegister: 0 }),
    reserved: reserved(1),
    registerRegion: GenericAddress,
    value: initially(u64("Operand of the instruction"), 0n),
    mask: initially(u64("Bits of the register that count"), 0xffff_ffff_ffff_ffffn),
  }));

/** ERST actions (ACPI 6.5 table 18.24). */
export const ERST_ACTION = {
  beginWriteOperation: 0x0,
  beginReadOperation: 0x1,
  beginClearOperation: 0x2,
  endOperation: 0x3,
  setRecordOffset: 0x4,
  executeOperation: 0x5,
  checkBusyStatus: 0x6,
  getCommandStatus: 0x7,
  getRecordIdentifier: 0x8,
  setRecordIdentifier: 0x9,
  getRecordCount: 0xa,
  beginDummyWriteOperation: 0xb,
  getErrorLogAddressRange: 0xd,
  getErrorLogAddressRangeLength: 0xe,
  getErrorLogAddressRangeAttributes: 0xf,
  getExecuteOperationTimings: 0x10,
} as const;
export type ErstActionName = keyof typeof ERST_ACTION;

/** ERST instructions (ACPI 6.5 table 18.27). */
export const ERST_INSTRUCTION = {
  readRegister: 0x0,
  readRegisterValue: 0x1,
  writeRegister: 0x2,
  writeRegisterValue: 0x3,
  noop: [0x4, "no operation"],
  loadVar1: 0x5,
  loadVar2: 0x6,
  storeVar1: 0x7,
  add: 0x8,
  subtract: 0x9,
  addValue: 0xa,
  subtractValue: 0xb,
  stall: 0xc,
  stallWhileTrue: 0xd,
  skipNextInstructionIfTrue: 0xe,
  goto: 0xf,
  setSourceAddressBase: 0x10,
  setDestinationAddressBase: 0x11,
  moveData: 0x12,
} as const;

/** EINJ actions (ACPI 6.5 table 18.30). */
export const EINJ_ACTION = {
  beginInjectionOperation: 0x0,
  getTriggerErrorActionTable: 0x1,
  setErrorType: 0x2,
  getErrorType: 0x3,
  endOperation: 0x4,
  executeOperation: 0x5,
  checkBusyStatus: 0x6,
  getCommandStatus: 0x7,
  setErrorTypeWithAddress: 0x8,
  getExecuteOperationTimings: 0x9,
  einjv2SetErrorType: [0x10, "EINJv2 set error type"],
  einjv2GetErrorType: [0x11, "EINJv2 get error type"],
  triggerError: 0xff,
} as const;

/** EINJ instructions (ACPI 6.5 table 18.33). */
export const EINJ_INSTRUCTION = {
  readRegister: 0x0,
  readRegisterValue: 0x1,
  writeRegister: 0x2,
  writeRegisterValue: 0x3,
  noop: [0x4, "no operation"],
  flushCacheLine: 0x5,
} as const;

export const ErstEntry = actionEntry("Serialization Instruction Entry", "ACPI 6.5 18.5.1.2", ERST_ACTION, ERST_INSTRUCTION);
export type ErstEntry = Decoded<typeof ErstEntry>;
export type ErstEntryInput = Encodable<typeof ErstEntry>;

export const EinjEntry = actionEntry("Injection Instruction Entry", "ACPI 6.5 18.6.2", EINJ_ACTION, EINJ_INSTRUCTION);
export type EinjEntry = Decoded<typeof EinjEntry>;
export type EinjEntryInput = Encodable<typeof EinjEntry>;
