/**
 * What a virtual machine monitor decides about a hardware error: which source, which record, which notification,
 * or the end. Policies are data; `PRESETS` holds those of known monitors.
 */
import type { NotificationName } from "../acpi/notification.ts";
import { hexNumber } from "../layout/index.ts";
import type { RecordingPolicy } from "./error-source.ts";
import { memoryRecord, qemuMemoryRecord } from "./memory-record.ts";

export interface MonitorPolicy {
  readonly description: string;
  /**
   * How the monitor learns where its sources are. `hardwareErrors`, `hest`: the firmware links the tables and writes
   * back where that file or that table is. `direct`: there is no firmware, the monitor has placed them itself.
   */
  readonly handOff: "hardwareErrors" | "hest" | "direct";
  /** Whether HEST is walked as QEMU does (version 2 only, fixed block length) or as the specification has it. */
  readonly walk: "qemu" | "specification";
  readonly recording: RecordingPolicy;
  /** Notification for a SIGBUS "action required"; a masked vCPU gets SEA instead of an interrupt. */
  readonly actionRequired: NotificationName;
  /** The same for "action optional"; `none` leaves the guest uninformed. */
  readonly actionOptional: NotificationName | "none";
  readonly memoryRecord: "qemu" | "exact";
  /** Whether the fault address register of the guest tells the virtual address, when it is known. */
  readonly tellsVirtualAddress: boolean;
  /**
   * Whether a virtual address goes into an ARM processor error section beside the memory section when it is all that
   * is known (`exact` records). No preset does: the section must name a kind of error, none is known, and the number
   * that says so to Linux says "cache error" to readers of other encodings of that byte. QEMU never meets the case: the
   * address of its SIGBUS is one of its own, which either is guest RAM, so that the guest physical address is known, or is
   * not, and then it says so and exits; and no QEMU uses the exit that could give a guest virtual address alone.
   */
  readonly virtualAddressSection: boolean;
  /** Whether an x86 guest gets machine checks instead of records. */
  readonly machineChecks: boolean;
  /** Whether HCR_EL2 and VSESR_EL2 are the monitor's host's own: without that no virtual SError. */
  readonly ownsHypervisor: boolean;
  /** What is printed when the lost memory is not the guest's. */
  readonly foreignMemory?: string;
  /** What follows when an action-required error cannot be recorded. */
  readonly recordFailure: "abort" | "exit" | "continue";
}

const QEMU_RECORDING: RecordingPolicy = { unacknowledged: { action: "refuse" }, stores: "ascending", acknowledgement: "nonzero" };
const QEMU = {
  walk: "qemu",
  actionRequired: "sea",
  actionOptional: "none",
  memoryRecord: "qemu",
  tellsVirtualAddress: false,
  virtualAddressSection: false,
  machineChecks: true,
  ownsHypervisor: true,
  foreignMemory: "Hardware memory error for memory used by QEMU itself instead of guest system!",
  recordFailure: "abort",
} as const;

export const PRESETS = {
  "qemu-7.2": {
    ...QEMU,
    description: "QEMU 5.0 to 10.1 and machines up to virt-10.1: one SEA source found through etc/hardware_errors_addr",
    handOff: "hardwareErrors",
    recording: QEMU_RECORDING,
  },
  "qemu-10.2": {
    ...QEMU,
    description:
      "QEMU 10.2.0 to 10.2.2, machine virt-10.2: sources found by walking the HEST that etc/acpi_table_hest_addr names; a source that is not found is reported and then written to address 0",
    handOff: "hest",
    recording: { ...QEMU_RECORDING, lookupFailure: "addressZero", zeroPointer: "write" },
  },
  "qemu-11.0": {
    ...QEMU,
    description:
      "QEMU from 11.0 on, machines from virt-10.2 on: as 10.2, but a source that is not found is refused, and the end is an exit instead of an abort",
    handOff: "hest",
    recording: { ...QEMU_RECORDING, zeroPointer: "write" },
    recordFailure: "exit",
  },
  // Of kvmtool (2024) this has the way it starts a guest: no firmware, everything is put into guest memory by the
  // monitor. kvmtool has no ACPI tables (its x86 guests are told noacpi, its arm64 ones get a device tree) and does not
  // handle SIGBUS: what it would do with errors is assumed, along the lines of the kernel developers' discussions.
  "kvmtool-like": {
    description:
      "a small monitor that starts its guest without firmware, as kvmtool does, and places the tables itself; kvmtool has neither ACPI nor error handling, so the rest is assumed: SEA for what the guest touched, an interrupt for what scrubbing found",
    handOff: "direct",
    walk: "specification",
    recording: { unacknowledged: { action: "queue", limit: 16, whenFull: "dropNewest" }, stores: "statusLast", acknowledgement: "bits" },
    actionRequired: "sea",
    actionOptional: "gsiv",
    memoryRecord: "exact",
    tellsVirtualAddress: true,
    virtualAddressSection: false,
    machineChecks: false,
    ownsHypervisor: true,
    recordFailure: "continue",
  },
} as const satisfies Readonly<Record<string, MonitorPolicy>>;
export type PresetName = keyof typeof PRESETS;

/** What is known of where an error happened; what is absent is not known. */
export interface ErrorAddress {
  /** Guest physical address. */
  readonly physical?: bigint | undefined;
  /** Guest virtual address. */
  readonly virtual?: bigint | undefined;
  /** log2 of the bytes the address stands for. Default for a SIGBUS: a page of 4096. */
  readonly lsb?: number | undefined;
}

/** How the monitor learns of an error. */
export type HostError = Sigbus | AbortExit | MadeRecord;
/** A SIGBUS of the host kernel (BUS_MCEERR_AR, BUS_MCEERR_AO). */
export interface Sigbus {
  readonly kind: "sigbus";
  /** The guest touched the page, or scrubbing found it. */
  readonly code: "actionRequired" | "actionOptional";
  readonly address: ErrorAddress;
  /** False for memory that is not the guest's RAM. */
  readonly inRam?: boolean;
}
/** KVM_EXIT_ARM_SEA: the guest took a synchronous external abort. */
export interface AbortExit {
  readonly kind: "seaExit";
  readonly address: ErrorAddress;
  /** It was an instruction fetch. */
  readonly fetch?: boolean;
}
/** A block made elsewhere: by a user, or by error injection. */
export interface MadeRecord {
  readonly kind: "record";
  readonly block: Uint8Array;
  readonly source?: number | undefined;
  readonly notification?: NotificationName | undefined;
}

export interface MonitorView {
  /** The machine has error sources (`ras=on`). */
  readonly ras: boolean;
  /** The firmware wrote the address back. */
  readonly handedOff: boolean;
  readonly sources: readonly { readonly id: number; readonly notification: NotificationName }[];
  readonly interruptsMasked: boolean;
  readonly architecture?: "arm64" | "x86";
}

export interface Decision {
  readonly record?: { readonly source: number; readonly block: Uint8Array };
  readonly notification?: NotificationName;
  /** x86: a machine check at this address instead of a record. */
  readonly machineCheck?: { readonly code: "actionRequired" | "actionOptional"; readonly address: bigint };
  /** The virtual address the guest's fault address register will hold. */
  readonly faultAddress?: bigint;
  /** The page is remapped at the next reset (QEMU's hwpoison list). */
  readonly poisoned?: bigint;
  /** What the monitor prints. */
  readonly messages: readonly string[];
  /** What this means for the guest, in words. */
  readonly consequences: readonly string[];
  readonly end?: "exit" | "abort";
}

const INTERRUPTS: ReadonlySet<NotificationName> = new Set(["externalInterrupt", "localInterrupt", "sci", "gpioSignal", "gsiv", "polled"]);
/** Where a scenario goes beyond what QEMU does. */
const NO_QEMU = {
  exit: "no QEMU uses this exit: what follows is what its policy for SIGBUS comes to",
  address: "a SIGBUS of QEMU's own always has an address: what follows is what its policy comes to",
} as const;
/** log2 of the bytes the address of a SIGBUS stands for when nobody says: one address is one page. */
const PAGE_LSB = 12;
export const NO_PHYSICAL_ADDRESS = "without a physical address the guest cannot isolate the page";

/** Decide. Pure: nothing is written or raised here. */
export function decide(policy: MonitorPolicy, error: HostError, view: MonitorView): Decision {
  if (error.kind === "record") return decideRecord(error, view);
  const required = error.kind === "seaExit" || error.code === "actionRequired";
  const { physical, virtual } = error.address;
  const inRam = error.kind === "seaExit" || error.inRam !== false;
  if (view.architecture === "x86" && policy.machineChecks && error.kind === "sigbus" && inRam && physical !== undefined)
    return {
      poisoned: physical,
      machineCheck: { code: error.code, address: physical },
      messages: [],
      consequences: ["an x86 guest has no error sources here: it gets a machine check"],
    };
  if (!view.ras || !view.handedOff || !inRam) {
    const why = !view.ras ? "the machine has no RAS features" : !inRam ? "the address is not guest memory" : "the firmware has not written the address back";
    // QEMU looks whose memory it is only when it knows where the guest's sources are.
    const foreign = !inRam && view.ras && view.handedOff && policy.foreignMemory !== undefined ? [policy.foreignMemory] : [];
    return required
      ? { messages: [...foreign, "Hardware memory error!"], consequences: [`${why}: there is no way to tell the guest, so the machine ends`], end: "exit" }
      : { messages: foreign, consequences: [`${why}: the guest is not told of an error it may never meet`] };
  }

  const poisoned = physical === undefined ? {} : { poisoned: physical };
  const wanted = required ? policy.actionRequired : policy.actionOptional;
  if (wanted === "none") return { ...poisoned, messages: [], consequences: ["the guest is not informed; the page is marked and replaced at the next reset"] };
  const consequences: string[] = [];
  let notification: NotificationName = wanted;
  if (required && view.interruptsMasked && INTERRUPTS.has(wanted)) {
    notification = "sea";
    consequences.push("the vCPU masks interrupts and cannot go on past this access: SEA instead, which nothing masks");
  }
  if (notification === "sei" && !policy.ownsHypervisor)
    return { ...poisoned, messages: ["no virtual SError: HCR_EL2 and VSESR_EL2 are not this host's own"], consequences: ["the guest is not informed"] };
  const source = view.sources.find((candidate) => candidate.notification === notification);
  if (!source)
    return {
      ...poisoned,
      messages: [`no error source notifies by ${notification}`],
      consequences: ["the guest is not informed"],
      ...(required && { end: "exit" as const }),
    };

  if (policy.memoryRecord === "qemu" && error.kind === "seaExit") consequences.push(NO_QEMU.exit);
  else if (policy.memoryRecord === "qemu" && physical === undefined) consequences.push(NO_QEMU.address);
  if (physical === undefined) consequences.push(NO_PHYSICAL_ADDRESS);
  const telling = notification === "sea" && policy.tellsVirtualAddress && virtual !== undefined;
  const inSection =
    view.architecture !== "x86" && policy.virtualAddressSection && policy.memoryRecord === "exact" && physical === undefined && virtual !== undefined;
  if (virtual !== undefined && physical === undefined) {
    const ways = [
      ...(telling ? ["FAR_EL1"] : []),
      ...(inSection
        ? ["an ARM processor error section of no kind that Linux knows, which it prints and does nothing about (older readers take it for a cache error)"]
        : []),
    ];
    consequences.push(
      ways.length > 0
        ? `the virtual address ${hexNumber(virtual)} reaches the guest in ${ways.join(" and in ")}: a memory section has no field for it`
        : `the virtual address ${hexNumber(virtual)} does not reach the guest: a memory section has no field for it`,
    );
  }
  const block =
    policy.memoryRecord === "qemu" && physical !== undefined
      ? qemuMemoryRecord(physical)
      : memoryRecord({
          physicalAddress: physical,
          addressLsb: error.address.lsb ?? (error.kind === "sigbus" ? PAGE_LSB : undefined),
          severity: "recoverable",
          ...(inSection && { virtualAddress: virtual }),
        });
  return { ...poisoned, record: { source: source.id, block }, notification, ...(telling && { faultAddress: virtual }), messages: [], consequences };
}

function decideRecord(error: MadeRecord, view: MonitorView): Decision {
  if (!view.ras || !view.handedOff)
    return {
      messages: [],
      consequences: [`${view.ras ? "the firmware has not written the address back" : "the machine has no RAS features"}: the record goes nowhere`],
    };
  const source =
    view.sources.find((candidate) => (error.source !== undefined ? candidate.id === error.source : candidate.notification === error.notification)) ??
    view.sources[0];
  const id = error.source ?? source?.id;
  if (id === undefined) return { messages: ["there is no error source"], consequences: ["the record goes nowhere"] };
  const notification = error.notification ?? source?.notification;
  return { record: { source: id, block: error.block }, ...(notification && { notification }), messages: [], consequences: [] };
}
