/** FRU memory poison section (UEFI 2.11 N.2.15). */
import {
  bits,
  type Encodable,
  encode,
  hexNumber,
  list,
  oneOf,
  orZero,
  ownSum,
  type Parsed,
  ref,
  type SectionType,
  sequence,
  struct,
  type Tree,
  u32,
  u64,
} from "../../layout/index.ts";
import { cpuidWords } from "./processor-id.ts";
import { known, phrase } from "./words.ts";

export const PoisonDescriptor = struct("Memory Poison Descriptor", 32, "UEFI 2.11 N.2.15", () => ({
  timestamp: orZero(u64("When the poison was found; Linux writes seconds since 1970")),
  hardwareIdType: orZero(oneOf(4, "What the hardware id is", { mcaIpid: [0, "MCA_IPID register"] })),
  hardwareId: orZero(u64("Hardware block that reported it")),
  addressType: orZero(oneOf(4, "What the address is", { mcaAddr: [0, "MCA_ADDR register"] })),
  address: u64("Address of the poisoned location"),
}));

export const FruMemoryPoison = sequence("FRU Memory Poison", "UEFI 2.11 N.2.15", () => ({
  checksum: ownSum("Makes the 32-bit words of the section sum to zero"),
  validation: bits(8, "Which fields hold data", {
    architectureType: 0,
    architecture: 1,
    fruIdType: 2,
    fruId: 3,
    entryCount: 4,
    entries: 5,
  }),
  architectureType: orZero(oneOf(4, "What the architecture value is", { cpuid1Eax: [0, "x86 CPUID function 1 EAX"] })),
  architecture: orZero(u64("Architecture of the unit")),
  fruIdType: orZero(oneOf(4, "What the identifier is", { ppin: [0, "x86 protected processor inventory number"] })),
  fruId: orZero(u64("Identifier of the unit")),
  entryCount: orZero(u32("Number of entries")),
  entries: list(PoisonDescriptor, "Poisoned locations", ref("entryCount")),
}));
export type FruMemoryPoison = Parsed<typeof FruMemoryPoison>;
export type FruMemoryPoisonInput = Encodable<typeof FruMemoryPoison>;

/** Sum of the little-endian 32-bit words, a last incomplete one padded with zeros. */
function sum32(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum = (sum + bytes[i]! * 2 ** (8 * (i & 3))) % 2 ** 32;
  return sum;
}

export const fruMemoryPoison: SectionType = {
  guids: ["5e4706c1-5356-48c6-930b-52f2120a4458"],
  name: "fruMemoryPoison",
  title: "FRU memory poison",
  layout: FruMemoryPoison,
  summary: (body: FruMemoryPoison) => {
    const entries = body.entries ?? [];
    const [first] = entries;
    return phrase(
      known(body, "entryCount", body.entryCount, (value) => `${value} poisoned location${value === 1 ? "" : "s"}`),
      known(body, "entries", first?.address, (value) => `${entries.length > 1 ? "the first at" : "at"} ${hexNumber(value)}`),
      known(body, "fruId", body.fruId, (value) => `${body.fruIdType === "ppin" ? "PPIN" : "unit"} ${hexNumber(value)}`),
    );
  },
  explain: (body: FruMemoryPoison): Tree[] => {
    const { architectureType, architecture, validation } = body;
    const sum = sum32(encode(FruMemoryPoison, body as FruMemoryPoisonInput));
    return [
      ...(architectureType === "cpuid1Eax" && architecture !== undefined && validation?.architecture
        ? [{ label: "processor", text: cpuidWords(architecture) }]
        : []),
      { label: "checksum", text: sum === 0 ? "right" : `wrong: the words of the section sum to ${hexNumber(sum)}` },
      ...(body.entries ?? []).flatMap(({ timestamp = 0n }, i) => {
        const seconds = Number(timestamp);
        // Seconds since 1970 of this century are the only form met so far.
        return seconds >= 946684800 && seconds < 4102444800 ? [{ label: `entry ${i}`, text: new Date(seconds * 1000).toISOString().replace(".000", "") }] : [];
      }),
    ];
  },
};
