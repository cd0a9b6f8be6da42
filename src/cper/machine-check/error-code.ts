/** The 16-bit error code in the low half of a bank's status, in words (Intel SDM volume 3B chapter 17; Linux mce_amd.c behaviour). */
import { hexNumber } from "../../layout/index.ts";

const TRANSACTION = ["instruction", "data", "generic", "reserved"] as const;
const OPERATION = ["generic error", "read", "write", "data read", "data write", "instruction fetch", "prefetch", "eviction", "snoop"] as const;
const PARTICIPATION = ["originated by this processor", "responded to by this processor", "observed as third party", "generic participation"] as const;
const ADDRESSED = ["memory", "reserved", "I/O", "other"] as const;
const MEMORY_OPERATION = ["generic", "read", "write", "address or command", "scrub"] as const;
const INTEL_LEVEL = ["level 0", "level 1", "level 2", "generic level"] as const;
const AMD_LEVEL = ["reserved level", "level 1", "level 2", "level 3 or generic"] as const;

const SIMPLE: Readonly<Record<number, string>> = {
  0: "no error",
  1: "unclassified error",
  2: "microcode ROM parity error",
  3: "external error (BINIT#)",
  4: "functional redundancy check error",
  5: "internal parity error",
  6: "SMM handler code access violation",
  1024: "internal timer error",
};

const field = (code: number, low: number, width: number) => (code >> low) & ((1 << width) - 1);
const operation = (code: number) => OPERATION[field(code, 4, 4)] ?? `operation ${field(code, 4, 4)}`;
const channel = (code: number) => (field(code, 0, 4) === 15 ? "channel not given" : `channel ${field(code, 0, 4)}`);
const memoryOperation = (code: number) => MEMORY_OPERATION[field(code, 4, 3)] ?? `operation ${field(code, 4, 3)}`;

function bus(code: number, level: readonly string[]): string {
  return [
    `bus or interconnect error, ${operation(code)}`,
    ADDRESSED[field(code, 2, 2)],
    PARTICIPATION[field(code, 9, 2)],
    level[field(code, 0, 2)],
    field(code, 8, 1) === 1 ? "timed out" : "no time-out",
  ].join(", ");
}
const tlb = (code: number, level: readonly string[]) => `TLB error, ${TRANSACTION[field(code, 2, 2)]}, ${level[field(code, 0, 2)]}`;
const cache = (code: number, level: readonly string[]) => `cache error, ${operation(code)}, ${TRANSACTION[field(code, 2, 2)]}, ${level[field(code, 0, 2)]}`;

/** The error code of PCIe root ports. */
export const ROOT_PORT_ERROR = 0x0e0b;

/** Intel's and the architectural error codes. Bit 12, "filtered", takes no part in the meaning. */
export function intelErrorCode(whole: number): string {
  const code = whole & ~0x1000;
  const filtered = whole & 0x1000 ? ", further corrections filtered" : "";
  const words = () => {
    const simple = SIMPLE[code];
    if (simple !== undefined) return simple;
    switch (code === 0 ? -1 : 31 - Math.clz32(code)) {
      case 10:
        return "internal unclassified error";
      case 3:
        return field(code, 2, 2) === 3 ? `cache hierarchy error, ${INTEL_LEVEL[field(code, 0, 2)]}` : undefined;
      case 4:
        return tlb(code, INTEL_LEVEL);
      case 7:
        return `memory controller error, ${memoryOperation(code)}, ${channel(code)}`;
      case 8:
        return cache(code, INTEL_LEVEL);
      case 9:
        return field(code, 7, 2) === 1 ? `extended memory error, ${memoryOperation(code)}, ${channel(code)}` : undefined;
      case 11:
        return code === ROOT_PORT_ERROR ? "I/O error of a PCIe root port" : bus(code, INTEL_LEVEL);
      default:
        return undefined;
    }
  };
  return (words() ?? `unknown error code ${hexNumber(code)}`) + filtered;
}

/** What Intel documents of single codes with software recovery. */
export const INTEL_KNOWN: readonly (readonly [from: number, to: number, words: string])[] = [
  [0x00c0, 0x00cf, "memory scrubbing error"],
  [0x017a, 0x017a, "level 3 explicit write-back error"],
  [0x0134, 0x0134, "data load error"],
  [0x0150, 0x0150, "instruction fetch error"],
];

/** AMD's error code, the low 16 bits of MCA_STATUS, in words (Linux mce_amd.c behaviour). */
export function amdErrorCode(code: number): string {
  if (code === 0) return "no error";
  if ((code & 0xf4ff) === 0x0400) return field(code, 8, 2) === 2 ? "internal error, hardware assertion" : "internal unclassified error";
  if ((code & 0xfff0) === 0x0010) return tlb(code, AMD_LEVEL);
  if ((code & 0xff00) === 0x0100) return cache(code, AMD_LEVEL).replace("cache", "memory hierarchy");
  if ((code & 0xf800) === 0x0800) return bus(code, AMD_LEVEL);
  return `unknown error code ${hexNumber(code)}`;
}
