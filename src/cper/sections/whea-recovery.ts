/** What Windows did about an error (WDK ntddk.h WHEA_ERROR_RECOVERY_INFO_SECTION). */
import { bits, initially, oneOf, type Parsed, type SectionType, struct, text, u8, valueLabel } from "../../layout/index.ts";
import { yesNo } from "./whea-machine-check.ts";

const SOURCE = "WDK ntddk.h, WHEA_ERROR_RECOVERY_INFO_SECTION";

const RECOVERY_TYPE = { unset: [0, "not set"], actionRequired: 1, actionOptional: 2 } as const;
const FAILURE_REASON = {
  none: 0,
  kernelCouldNotMarkMemoryBad: 1,
  markingTimedOut: 2,
  noRecoveryContext: 3,
  notContinuable: 4,
  processorContextCorrupt: 5,
  overflow: 6,
  notSupported: 7,
  miscOrAddressInvalid: 8,
  badAddressMode: 9,
  highIrql: [10, "the interrupt level was too high"],
  tooFewAlternateContexts: 11,
  interruptsDisabled: 12,
  swapBusy: 13,
  stackOverflow: 14,
  unexpectedFailure: 15,
  kernelFaultWouldCrash: [16, "a fault in the kernel would stop the system at this interrupt level"],
  faultAddressInvalid: [17, "the fault address register is not valid"],
} as const;

const start = {
  kernel: yesNo("Whether the error was met in kernel mode"),
  action: bits(8, "What was done", {
    noneAttempted: 0,
    terminateProcess: 1,
    forwardedToVirtualMachine: 2,
    markPageBad: 3,
    poisonNotPresent: 4,
  }),
  type: initially(oneOf(4, "Kind of error", RECOVERY_TYPE), "unset"),
} as const;
const end = {
  succeeded: yesNo("Whether the recovery succeeded"),
  failureReason: initially(oneOf(4, "Why it did not", FAILURE_REASON), "none"),
  processName: initially(text(20, "Process that was running, ASCII"), ""),
} as const;

export const WheaRecovery = struct("Windows Recovery Information", 39, SOURCE, () => ({
  ...start,
  irql: initially(u8("Interrupt request level; 255 when not set"), 255),
  ...end,
}));
export type WheaRecovery = Parsed<typeof WheaRecovery>;
/** Builds before the release had no interrupt level. */
export const WheaRecoveryPrerelease = struct("Windows Recovery Information before its release", 38, `${SOURCE}, seen in records of spring 2020`, () => ({
  ...start,
  ...end,
}));

function summary(body: Partial<Omit<WheaRecovery, "irql">>): string {
  const { action } = body;
  const done = [
    action?.terminateProcess && "process terminated",
    action?.forwardedToVirtualMachine && "forwarded to the virtual machine",
    action?.markPageBad && "page marked bad",
    action?.poisonNotPresent && "poison was not present",
    action?.noneAttempted && "no recovery attempted",
  ].filter((part) => typeof part === "string");
  const outcome = body.succeeded === "yes" ? "recovery succeeded" : body.succeeded === "no" && !action?.noneAttempted ? "no success recorded" : "";
  return [
    body.type && body.type !== "unset" ? valueLabel(RECOVERY_TYPE, body.type) : "",
    ...done,
    outcome,
    body.failureReason && body.failureReason !== "none" ? valueLabel(FAILURE_REASON, body.failureReason) : "",
    body.processName ? `process ${body.processName}` : "",
  ]
    .filter((part) => part !== "")
    .join(", ");
}

const GUID = "c34832a1-02c3-4c52-a9f1-9f1d5d7723fc";
const common = { guids: [GUID], summary };
export const wheaRecovery: SectionType = { ...common, name: "wheaRecovery", title: "Windows recovery information", layout: WheaRecovery };
export const wheaRecoveryPrerelease: SectionType = {
  ...common,
  length: 38,
  name: "wheaRecoveryPrerelease",
  title: "Windows recovery information, pre-release",
  layout: WheaRecoveryPrerelease,
  secondHand: "no header of those builds is public: inferred from records",
};
