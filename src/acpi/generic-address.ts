/** The generic address structure: where a register is and how wide. */
import { type Decoded, type Encodable, initially, oneOf, struct, u8, u64 } from "../layout/index.ts";

export const ADDRESS_SPACE = {
  systemMemory: [0, "system memory"],
  systemIo: [1, "system I/O"],
  pciConfiguration: [2, "PCI configuration"],
  embeddedController: 3,
  smbus: [4, "SMBus"],
  cmos: [5, "CMOS"],
  pciBarTarget: [6, "PCI BAR target"],
  ipmi: [7, "IPMI"],
  gpio: [8, "general purpose I/O"],
  genericSerialBus: 9,
  platformCommunicationsChannel: 0x0a,
  functionalFixedHardware: 0x7f,
} as const;

export const GenericAddress = struct("Generic Address Structure", 12, "ACPI 6.5 5.2.3.2", () => ({
  addressSpace: initially(oneOf(1, "Address space", ADDRESS_SPACE), "systemMemory"),
  registerBitWidth: initially(u8("Width of the register in bits"), 64),
  registerBitOffset: initially(u8("Offset of the register in bits"), 0),
  accessSize: initially(oneOf(1, "Width of one access", { undefined: [0, "not given"], byte: 1, word: 2, dword: 3, qword: 4 }), "qword"),
  address: u64("Address in that space"),
}));
export type GenericAddress = Decoded<typeof GenericAddress>;
export type GenericAddressInput = Encodable<typeof GenericAddress>;
