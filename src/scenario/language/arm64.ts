/** What the scenario language says of arm64: how a processor routes errors, and the events of its exceptions and of KVM. */
import { NOTIFICATION } from "../../acpi/notification.ts";
import type { FirmwareAction, LastResort, MonitorAction, Situation } from "../../arm64/delivery.ts";
import { CAPABILITY, type Capability, EXIT_REASON, KVM_LAYOUTS, type KvmDialect } from "../../arm64/kvm-layouts.ts";
import { ASYNCHRONOUS_ERROR_TYPE } from "../../arm64/registers.ts";
import { type OperatingSystem, SYSTEMS, type SystemName } from "../../guest/operating-system.ts";
import { boolean, integer, type Number64, number64, object, oneOf, type Schema } from "./kit.ts";
import { content, type RecordContent, type RecordEvent } from "./records.ts";

/** Where a processor's errors go. What is left out is clear; EL3 and EL2 are there unless said otherwise. */
export interface RoutingChoice {
  /** SCR_EL3.EA. */
  readonly ea?: boolean;
  /** HCR_EL2.AMO, TGE, TEA and E2H. */
  readonly amo?: boolean;
  readonly tge?: boolean;
  readonly tea?: boolean;
  readonly vhe?: boolean;
  readonly hasEl3?: boolean;
  readonly hasEl2?: boolean;
}
export interface KvmChoice {
  readonly dialect?: KvmDialect;
  /** False for a kernel without KVM_CAP_ARM_SEA_TO_USER. */
  readonly seaToUser?: boolean;
  /** False for a host processor without the RAS extension. */
  readonly hostRas?: boolean;
  /** Further capabilities the kernel does not have. */
  readonly without?: readonly Capability[];
  /** When the monitor enables exits for guest aborts. */
  readonly enabled?: keyof typeof ENABLED;
}

const FIRMWARE_ACTION = {
  changeHcr: { does: "changeHcr" },
  injectVirtualSError: { does: "injectVirtualSError" },
  unmaskSErrors: { does: "unmaskSErrors" },
  emulateAtEl1: { does: "emulateException", at: "EL1" },
  emulateAtEl2: { does: "emulateException", at: "EL2" },
  writeDisr: { does: "writeDisr" },
  clearDisr: { does: "clearDisr" },
  retry: { does: "retry" },
  reboot: { does: "reboot" },
  tellAnotherProcessor: { does: "tellAnotherProcessor" },
  interruptOrPolling: { does: "interruptOrPolling" },
} as const satisfies Readonly<Record<string, FirmwareAction>>;
export type FirmwareTry = keyof typeof FIRMWARE_ACTION;
/** What a name in a scenario stands for. */
export const firmwareAction = (name: FirmwareTry): FirmwareAction => FIRMWARE_ACTION[name];
/** What firmware at EL3 does, for people. */
export const FIRMWARE_WORDS: Readonly<Record<FirmwareTry, string>> = {
  changeHcr: "wants to change HCR_EL2",
  injectVirtualSError: "wants to inject a virtual SError (HCR_EL2.VSE, VSESR_EL2)",
  unmaskSErrors: "wants to clear PSTATE.A of the interrupted software",
  emulateAtEl1: "wants to make EL1 take an exception",
  emulateAtEl2: "wants to make EL2 take an exception",
  writeDisr: "wants to leave the syndrome in DISR_EL1",
  clearDisr: "wants to clear DISR_EL1",
  retry: "wants to return and wait for the error to come again",
  reboot: "wants to reset the machine",
  tellAnotherProcessor: "wants to interrupt another processor",
  interruptOrPolling: "wants to tell by interrupt or polling",
};
export const MONITOR_WORDS: Readonly<Record<MonitorAction["does"], string>> = {
  useOwnSyndrome: "wants a syndrome of its own for the guest",
  reuseHostSyndrome: "wants to hand the host's syndrome to the guest",
  runGuestFirmware: "wants guest firmware to handle the error",
  injectVirtualSError: "wants to inject a virtual SError",
};

/** An error the physical processor notices. */
export interface ProcessorErrorEvent {
  readonly exception: "serror" | "sea";
  readonly vcpu?: number;
  /** Syndrome the hardware gives. Default: made of `severity`, or an external abort that is not on a table walk. */
  readonly esr?: Number64;
  /** How bad an SError is. */
  readonly severity?: keyof typeof ASYNCHRONOUS_ERROR_TYPE;
  readonly synchronizedBy?: Exclude<Situation["synchronized"], "no">;
  /** With IESB on an exception's entry: the level the exception came from. */
  readonly enteredFrom?: "EL0" | "EL1";
  /** SEA: the address of the access, where it is known. */
  readonly virtualAddress?: Number64;
  readonly physicalAddress?: Number64;
  /** False for an error that an interrupt or polling may tell. */
  readonly needsSei?: boolean;
  /** What firmware at EL3 writes. */
  readonly record?: Pick<RecordEvent, "source"> & RecordContent;
  /** What firmware at EL3 tries before it does what is right. */
  readonly firmware?: readonly FirmwareTry[];
}
/** The monitor calls KVM_SET_VCPU_EVENTS. */
export interface SetEventsEvent {
  readonly vcpu?: number;
  readonly thread?: string;
  readonly serrorPending?: boolean;
  readonly serrorEsr?: Number64;
  readonly extDabtPending?: boolean;
  readonly extIabtPending?: boolean;
  /** Dialect proposed-syndrome only. */
  readonly extAbtEsr?: Number64;
}
/** KVM_RUN returns for another reason than an abort. */
export interface KvmExitEvent {
  readonly kind: Exclude<keyof typeof EXIT_REASON, "sea"> | "other";
  readonly vcpu?: number;
  /** Of the access that made it. */
  readonly guestVirtualAddress?: Number64;
}

export const ENABLED = {
  atCreation: "queried and enabled before the first vCPU is made",
  afterVcpus: "enabled only after the vCPUs were made",
  unqueried: "enabled without asking whether the kernel has it",
  never: "never enabled",
} as const;

/** Who reads the records: what runs there, at which level, with which habits. */
export interface SystemChoice {
  /** The level its kernel runs at. Of a virtual machine EL2 stands for a guest that has a hypervisor level of its own (nested). Default: EL1. */
  readonly level?: "EL1" | "EL2";
  /** Which operating system, or one with changes. Default: Linux, or the thorough one when it has another name. */
  readonly system?: SystemName | ({ readonly preset: SystemName } & Partial<Omit<OperatingSystem, "description">>);
  /** Whether it sets SCTLR_ELx.IESB, so that every change of level synchronises errors. Default: as the system does. */
  readonly iesb?: boolean;
  /** Whether it takes lost pages out of use. Default: as the system does; kernels made for clouds may not. */
  readonly memoryFailure?: boolean;
  /** What it is called. Default: as the system is. */
  readonly name?: string;
}

// ---- the same as JSON Schema ----

export const routing = object("Where this processor's errors go; what is left out is clear", {
  ea: boolean("SCR_EL3.EA: EL3 takes external aborts and SErrors first"),
  amo: boolean("HCR_EL2.AMO: SErrors of EL0 and EL1 go to EL2"),
  tge: boolean("HCR_EL2.TGE: exceptions of EL0 go to EL2"),
  tea: boolean("HCR_EL2.TEA: synchronous external aborts of EL0 and EL1 go to EL2"),
  vhe: boolean("HCR_EL2.E2H: the kernel of the host runs at EL2"),
  hasEl3: boolean("Whether there is an EL3; default true"),
  hasEl2: boolean("Whether there is an EL2; default true"),
});
export const kvm = object("What the host kernel offers on arm64", {
  dialect: oneOf("Which KVM interface", Object.keys(KVM_LAYOUTS)),
  seaToUser: boolean("Whether guest aborts can come to the monitor"),
  hostRas: boolean("Whether the host processor has the RAS extension"),
  without: { type: "array", items: { enum: Object.keys(CAPABILITY) }, description: "Further capabilities the kernel does not have" },
  enabled: oneOf("When the monitor enables exits for guest aborts; default atCreation", Object.keys(ENABLED)),
});
export const lastResort = oneOf("What firmware at EL3 does when it can tell nobody; default retry", [
  "retry",
  "reboot",
  "tellAnotherProcessor",
] satisfies LastResort[]);
const systemFacts = {
  name: { type: "string", maxLength: 40, description: "What it is called" },
  iesb: boolean("It sets SCTLR_ELx.IESB: every change of level synchronises errors"),
  readsDisr: boolean("It looks into DISR_EL1 where an SError may have been deferred"),
  survives: { type: "array", items: { enum: Object.keys(ASYNCHRONOUS_ERROR_TYPE) }, description: "SErrors it goes on after; over all others it panics" },
  notifications: { type: "array", items: { enum: Object.keys(NOTIFICATION) }, description: "Notifications for which it looks at a source" },
  looksAtStart: boolean("It looks once at every source it binds"),
  pointer: oneOf("Where a block is: read once when a source is bound, or anew for every look", ["atStart", "everyTime"]),
  entries: oneOf("How many entries of a block it goes through: those there are, or as many as the block status counts", ["byLength", "byCount"]),
  bitOffset: boolean("The masks of an acknowledge register are moved by its bit offset"),
  memoryFailure: boolean("It takes lost pages out of use"),
} satisfies Readonly<Record<Exclude<keyof OperatingSystem, "description">, Schema>>;
export const system: Readonly<Record<string, Schema>> = {
  level: oneOf("The level its kernel runs at; in a virtual machine EL2 stands for a guest with a hypervisor level of its own (nested); default EL1", [
    "EL1",
    "EL2",
  ]),
  system: {
    description: "Which operating system; default linux, or thorough when it has another name. Of Linux only iesb, memoryFailure and name can be changed",
    anyOf: [
      { enum: Object.keys(SYSTEMS) },
      object("A system with changes", { preset: oneOf("Where it starts from", Object.keys(SYSTEMS)), ...systemFacts }, ["preset"]),
    ],
  },
  iesb: boolean("Whether it sets SCTLR_ELx.IESB, so that every change of level synchronises errors; default: as the system does"),
  memoryFailure: boolean(
    "Whether it takes lost pages out of use (Linux: CONFIG_MEMORY_FAILURE, which Debian's cloud kernels lack); default: as the system does",
  ),
  name: { type: "string", maxLength: 40, description: "What it is called; default: as the system is" },
};
const thread: Schema = { type: "string", maxLength: 40, description: "Thread that makes the call; default: the vCPU's own, vcpu0 and so on" };

/** The events of this file. */
export const arm64Events: Readonly<Record<string, Schema>> = {
  processorError: object(
    "The physical processor notices an error: it is routed, delivered or deferred as the architecture has it",
    {
      exception: oneOf("An SError, or a synchronous external abort", ["serror", "sea"]),
      vcpu: integer("The vCPU, or on a physical machine the processor, that runs"),
      esr: number64("Syndrome the hardware gives; default: made of severity, or an external abort that is not on a table walk"),
      severity: oneOf("How bad an SError is; default restartable", Object.keys(ASYNCHRONOUS_ERROR_TYPE)),
      synchronizedBy: oneOf("What made the processor notice: an ESB instruction, or the implicit one of IESB at a change of level", ["esb", "iesb"]),
      enteredFrom: oneOf("With IESB on an interrupt's entry: the level it came from", ["EL0", "EL1"]),
      virtualAddress: number64("Address of the access, when it is known"),
      physicalAddress: number64("Guest physical address, when it is known"),
      needsSei: boolean("False for an error that an interrupt or polling may tell; default true"),
      record: object("What firmware at EL3 writes", { source: integer("Source id; default: that of the first source", 0xffff), ...content }),
      firmware: { type: "array", items: { enum: Object.keys(FIRMWARE_ACTION) }, description: "What firmware at EL3 tries before it does what is right" },
    },
    ["exception"],
  ),
  esb: object("Software executes an ESB instruction", { vcpu: integer("Where") }),
  setEvents: object("The monitor calls KVM_SET_VCPU_EVENTS", {
    vcpu: integer("For which vCPU"),
    thread,
    serrorPending: boolean("An SError shall wait or be taken"),
    serrorEsr: number64("Its syndrome; default: none, and KVM takes its own"),
    extDabtPending: boolean("An external data abort now"),
    extIabtPending: boolean("An external instruction abort now (proposed dialects)"),
    extAbtEsr: number64("What is added to the abort's syndrome (dialect proposed-syndrome)"),
  }),
  exit: object(
    "KVM_RUN returns for another reason than an abort",
    {
      kind: oneOf("Why", [...Object.keys(EXIT_REASON).filter((kind) => kind !== "sea"), "other"]),
      vcpu: integer("The vCPU that left"),
      guestVirtualAddress: number64("Of the access that made it"),
    },
    ["kind"],
  ),
  monitorTries: oneOf("The monitor tries what it must not do", Object.keys(MONITOR_WORDS)),
};
