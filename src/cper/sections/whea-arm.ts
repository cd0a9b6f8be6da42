/** Windows' sections for Arm processors (WDK ntddk.h). */
import { bits, hexNumber, initially, oneOf, orZero, type Parsed, reserved, type SectionType, struct, u32, u64, valueLabel } from "../../layout/index.ts";
import { ARM_RAS_COMPONENT, ARM_RAS_SERR, ArmRasErrorRecord } from "./arm-ras.ts";
import { yesNo } from "./whea-machine-check.ts";

const SYNDROME = "Arm ARM D24.2, ESR_ELx";

/** What an aborted access was for. */
const EXCEPTION_CLASS = {
  instructionAbortLower: [0x20, "instruction abort from a lower exception level"],
  instructionAbortSame: [0x21, "instruction abort from the same exception level"],
  dataAbortLower: [0x24, "data abort from a lower exception level"],
  dataAbortSame: [0x25, "data abort from the same exception level"],
  serror: [0x2f, "SError interrupt"],
} as const;
const walk = (what: string, first: number) =>
  Object.fromEntries(
    [-1, 0, 1, 2, 3].map(
      (level) => [`${what}WalkLevel${level < 0 ? "Minus1" : level}`, [first + level, `${words(what)} on a table walk, level ${level}`]] as const,
    ),
  );
const words = (what: string) => (what === "parity" ? "parity or ECC error" : "external abort");
const FAULT_STATUS: Readonly<Record<string, readonly [number, string]>> = {
  externalAbort: [0x10, "external abort"],
  ...walk("externalAbort", 0x14),
  parity: [0x18, "parity or ECC error"],
  ...walk("parity", 0x1c),
};
const ABORT_SEVERITY = { recoverable: 0, uncontainable: 2, restartable: 3 } as const;
const ASYNCHRONOUS_SEVERITY = { uncontainable: 0, unrecoverable: 1, restartable: 2, recoverable: 3, corrected: 6 } as const;

export const WheaSea = struct("Windows Synchronous External Abort", 21, "WDK ntddk.h, WHEA_SEA_SECTION", () => ({
  esr: bits(4, `Exception syndrome register: ${SYNDROME}`, {
    faultStatus: { at: [0, 6], names: FAULT_STATUS },
    writeNotRead: 6,
    stage1TableWalk: 7,
    cacheMaintenance: 8,
    externalAbortType: 9,
    farNotValid: 10,
    synchronousErrorType: { at: [11, 2], names: ABORT_SEVERITY },
    instructionLength32: 25,
    exceptionClass: { at: [26, 6], names: EXCEPTION_CLASS },
  }),
  far: orZero(u64("Fault address register")),
  par: orZero(u64("Physical address register")),
  kernel: yesNo("Whether it was met in kernel mode"),
}));
export type WheaSea = Parsed<typeof WheaSea>;

export const WheaSei = struct("Windows SError Interrupt", 12, "WDK ntddk.h, WHEA_SEI_SECTION", () => ({
  esr: bits(4, `Exception syndrome register: ${SYNDROME}`, {
    faultStatus: { at: [0, 6], names: { uncategorized: 0, asynchronous: 0x11 } },
    externalAbortType: 9,
    asynchronousErrorType: { at: [10, 3], names: ASYNCHRONOUS_SEVERITY },
    implicitSynchronization: 13,
    implementationDefined: 24,
    instructionLength32: 25,
    exceptionClass: { at: [26, 6], names: EXCEPTION_CLASS },
  }),
  far: orZero(u64("Fault address register")),
}));
export type WheaSei = Parsed<typeof WheaSei>;

export const WheaArmRasNode = struct("Windows Arm RAS Node", 80, "WDK ntddk.h, WHEA_ARM_RAS_NODE_SECTION", () => ({
  fieldCount: initially(u32("Registers that follow: 8"), 8),
  nodeIndex: orZero(u32("Index of the node in the AEST table")),
  interfaceType: orZero(oneOf(1, "How the registers are reached", { systemRegister: 0, memoryMapped: 1 })),
  nodeType: orZero(oneOf(1, "AEST node type", ARM_RAS_COMPONENT)),
  reserved: reserved(6),
  frRegister: orZero(u64("ERR<n>FR, features")),
  ctlrRegister: orZero(u64("ERR<n>CTLR, control")),
  statusRegister: ArmRasErrorRecord.fields.status,
  addrRegister: orZero(u64("ERR<n>ADDR, address")),
  misc0Register: orZero(u64("ERR<n>MISC0")),
  misc1Register: orZero(u64("ERR<n>MISC1")),
  misc2Register: orZero(u64("ERR<n>MISC2")),
  misc3Register: orZero(u64("ERR<n>MISC3")),
}));
export type WheaArmRasNode = Parsed<typeof WheaArmRasNode>;

const NO_ADDRESS = "address not valid";

export const wheaArmSections: readonly SectionType[] = [
  {
    guids: ["f5fe48a6-84ce-4c1e-aa64-20c9a53099f1"],
    name: "wheaSea",
    title: "Windows synchronous external abort",
    layout: WheaSea,
    summary: ({ esr, far, kernel }: WheaSea) =>
      [
        esr?.exceptionClass === undefined ? "" : valueLabel(EXCEPTION_CLASS, esr.exceptionClass),
        esr?.faultStatus === undefined ? "" : valueLabel(FAULT_STATUS, esr.faultStatus),
        esr?.synchronousErrorType === undefined ? "" : valueLabel(ABORT_SEVERITY, esr.synchronousErrorType),
        esr?.farNotValid || far === undefined ? NO_ADDRESS : `virtual address ${hexNumber(far)}`,
        kernel === "yes" ? "in kernel mode" : "",
      ]
        .filter((part) => part !== "")
        .join(", "),
  },
  {
    guids: ["f2a4a152-9c6d-4020-aecf-7695b389251b"],
    name: "wheaSei",
    title: "Windows SError interrupt",
    layout: WheaSei,
    summary: ({ esr }: WheaSei) =>
      esr === undefined
        ? ""
        : esr.implementationDefined
          ? "implementation defined syndrome"
          : esr.faultStatus === "asynchronous"
            ? valueLabel(ASYNCHRONOUS_SEVERITY, esr.asynchronousErrorType ?? 0)
            : "uncategorized",
  },
  {
    guids: ["e3ebf4a2-df50-4708-b2d7-0b29ec2f7aa9"],
    name: "wheaArmRasNode",
    title: "Windows Arm RAS node error",
    layout: WheaArmRasNode,
    summary: ({ nodeIndex, nodeType, statusRegister: status, addrRegister }: WheaArmRasNode) =>
      [
        `node ${nodeIndex ?? 0}`,
        nodeType === undefined ? "" : valueLabel(ARM_RAS_COMPONENT, nodeType),
        status?.valid ? (status.uncorrected ? "uncorrected" : status.deferred ? "deferred" : "corrected") : "no valid status",
        status?.valid && status.serr !== undefined ? valueLabel(ARM_RAS_SERR, status.serr) : "",
        status?.valid && status.addressValid && addrRegister !== undefined ? `address ${hexNumber(addrRegister)}` : "",
      ]
        .filter((part) => part !== "")
        .join(", "),
  },
];
