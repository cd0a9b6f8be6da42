/** Names of the scenario language that somebody may have meant by another word. */
import { NOTIFICATION } from "../acpi/notification.ts";
import { nearestName } from "../layout/nearest.ts";
import { namesByNumber } from "../layout/values.ts";

const NUMBERED = namesByNumber(NOTIFICATION);
/** What specifications, kernels and people call what has another name here. Small letters and digits only. */
const ALSO_CALLED: Readonly<Record<string, readonly string[]>> = {
  busmceerrar: ["actionRequired"],
  ar: ["actionRequired"],
  busmceerrao: ["actionOptional"],
  ao: ["actionOptional"],
  gpa: ["guestPhysicalAddress", "physicalAddress"],
  pa: ["physicalAddress", "guestPhysicalAddress", "address"],
  addr: ["physicalAddress", "guestPhysicalAddress", "address"],
  address: ["physicalAddress", "guestPhysicalAddress"],
  physaddress: ["physicalAddress", "guestPhysicalAddress"],
  physicaladdress: ["guestPhysicalAddress"],
  gva: ["guestVirtualAddress", "virtualAddress"],
  va: ["virtualAddress", "guestVirtualAddress"],
  far: ["virtualAddress", "guestVirtualAddress"],
  virtualaddress: ["guestVirtualAddress"],
  granularity: ["addressLsb"],
  lsb: ["addressLsb"],
  uc: ["uncontainable"],
  ueu: ["unrecoverable"],
  ueo: ["restartable"],
  uer: ["recoverable"],
  ce: ["corrected"],
  correctable: ["corrected"],
  uncorrected: ["recoverable", "fatal"],
  nonfatal: ["recoverable"],
  abort: ["sea"],
  externalabort: ["sea"],
  poll: ["polled"],
  polling: ["polled"],
  gpio: ["gpioSignal"],
  ged: ["gpioSignal"],
  interrupt: ["gsiv", "externalInterrupt"],
  irq: ["gsiv", "externalInterrupt", "vector"],
  gsi: ["vector", "gsiv"],
  interval: ["pollInterval"],
  type: ["notification", "exception", "kind"],
  cpu: ["vcpu", "vcpus"],
  cpus: ["vcpus"],
  processors: ["vcpus"],
  masked: ["interruptsMasked", "serrorMasked"],
  pstatea: ["serrorMasked"],
  thread: ["answeredOn"],
  ack: ["acknowledge", "acknowledges"],
  readack: ["acknowledge"],
  os: ["system"],
  policy: ["monitor"],
  vmm: ["monitor"],
  ras: ["hostRas"],
  serrorhasesr: ["serrorEsr"],
  kvmcaparmseatouser: ["seaToUser"],
  aarch64: ["arm64"],
  armv8: ["arm64"],
  x8664: ["x86"],
  amd64: ["x86"],
  uefi: ["aavmf", "ovmf"],
  edk2: ["aavmf", "ovmf"],
  bios: ["seabios"],
};
const plain = (word: string) => word.toLowerCase().replaceAll(/[^a-z0-9]/g, "");

/** Whether one of the words a name is made of is nearly this one. */
const hasWordLike = (name: string, word: string): boolean =>
  name.split(/(?=[A-Z])/).some((part) => part.length > 4 && nearestName(word, [part.toLowerCase()]) !== undefined);

/** Which of the names may have been meant. */
export function meant(given: unknown, names: readonly string[]): string | undefined {
  if (typeof given === "number") {
    const name = NUMBERED.get(given);
    return name !== undefined && names.includes(name) && names.includes("polled") ? name : undefined;
  }
  if (typeof given !== "string") return undefined;
  const word = plain(given);
  return (
    names.find((name) => plain(name) === word) ??
    ALSO_CALLED[word]?.find((name) => names.includes(name)) ??
    nearestName(given, names) ??
    (word.length > 3
      ? names.find((name) => plain(name).includes(word) || (name.length > 3 && word.includes(plain(name))) || hasWordLike(name, word))
      : undefined)
  );
}
