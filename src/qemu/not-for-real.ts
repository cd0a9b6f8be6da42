/** What a scenario asks of a machine that a real one on an emulated processor cannot do, and why. */
import { policyOf } from "../scenario/machine.ts";
import type { MachineChoice, Moment, Scenario } from "../scenario/schema.ts";

const OWN_BUSINESS = "a real guest does as it likes";
const NO_KVM = "the processor is emulated: there is no KVM, and no exception level above the guest's";

/** Why an event is not carried out; others are tried. */
const EVENTS: { readonly [K in keyof Moment]?: string } = {
  vcpu: "what a real processor masks is up to its kernel",
  processorError: NO_KVM,
  esb: NO_KVM,
  setEvents: NO_KVM,
  exit: NO_KVM,
  monitorTries: NO_KVM,
  reset: "the machine ends with its first reset",
  guestReads: "it leaves no trace in the kernel's log",
  guest: OWN_BUSINESS,
  acknowledge: OWN_BUSINESS,
};
/** Milliseconds until an event that is waited for: a day. */
export const LONGEST_WAIT = 86_400_000;
/** Milliseconds between the looks of a timer that is waited for. */
export const LONGEST_POLL = 60_000;

/** Why what is said of the machine makes no difference. */
const MACHINE: { readonly [K in keyof MachineChoice]?: string } = {
  vcpus: "what a real processor masks is up to its kernel",
  kvm: NO_KVM,
  lastResort: NO_KVM,
  place: "the firmware places files where it likes",
};

/** Why an event is not carried out; undefined when it is tried. */
export function whyNot(moment: Moment): string | undefined {
  const { at: _, ...happens } = moment;
  const name = Object.keys(happens)[0] as keyof typeof happens;
  if (moment.seaExit?.claimedByHost) return "the host's own firmware has it, so it never gets to a monitor";
  if (moment.guestWrites && moment.guestWrites.address === undefined) return OWN_BUSINESS;
  return EVENTS[name];
}
/** An event by its name and time. */
export const eventName = (moment: Moment): string => `${Object.keys(moment).find((key) => key !== "at")} at ${moment.at} ms`;

/** Members of a scenario, beside its events, that do not count, each with its reason. */
export function notForReal({ machine = {}, monitor, guest }: Scenario, firmware: string): string[] {
  const members = (Object.keys(machine) as (keyof MachineChoice)[]).flatMap((name) =>
    MACHINE[name] === undefined ? [] : [`machine.${name}: ${MACHINE[name]}`],
  );
  const slow = (machine.sources ?? []).flatMap(({ id, notification, pollInterval = 0 }) =>
    notification === "polled" && pollInterval > LONGEST_POLL ? [`source ${id}: a timer that looks every ${pollInterval / 1000} s is not waited for`] : [],
  );
  const direct = policyOf(monitor).handOff === "direct" ? [`a start without firmware: here ${firmware} links the tables`] : [];
  return [...members, ...direct, ...slow, ...Object.keys(guest ?? {}).map((name) => `guest.${name}: ${OWN_BUSINESS}`)];
}
