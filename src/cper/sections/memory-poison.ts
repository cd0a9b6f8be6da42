/** FRU memory poison section (UEFI 2.11 N.2.15). */
import { bits, type Encodable, hex, list, oneOf, orZero, type Parsed, ref, type SectionType, sequence, struct, u32, u64 } from "../../layout/index.ts";

export const PoisonDescriptor = struct("Memory Poison Descriptor", 32, "UEFI 2.11 N.2.15", {
  timestamp: orZero(u64("When the poison was found; Linux writes seconds since 1970")),
  hardwareIdType: orZero(oneOf(4, "What the hardware id is", { mcaIpid: [0, "MCA_IPID register"] })),
  hardwareId: orZero(u64("Hardware block that reported it")),
  addressType: orZero(oneOf(4, "What the address is", { mcaAddr: [0, "MCA_ADDR register"] })),
  address: u64("Address of the poisoned location"),
});

export const FruMemoryPoison = sequence("FRU Memory Poison", "UEFI 2.11 N.2.15", {
  checksum: orZero(hex(u32("Makes the 32-bit words of the section sum to zero"))),
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
});
export type FruMemoryPoison = Parsed<typeof FruMemoryPoison>;
export type FruMemoryPoisonInput = Encodable<typeof FruMemoryPoison>;

export const fruMemoryPoison: SectionType = {
  guids: ["5e4706c1-5356-48c6-930b-52f2120a4458"],
  name: "fruMemoryPoison",
  title: "FRU Memory Poison",
  layout: FruMemoryPoison,
};
