/** PCI/PCI-X bus and component error sections (UEFI 2.11 N.2.8 and N.2.9). */
import {
  bits,
  type Encodable,
  hex,
  hexNumber,
  list,
  oneOf,
  orZero,
  type Parsed,
  ref,
  reserved,
  type SectionType,
  sequence,
  struct,
  u8,
  u16,
  u24,
  u32,
  u64,
  validBy,
  valueLabel,
} from "../../layout/index.ts";
import { ERROR_STATUS_TYPE, ErrorStatus } from "./error-status.ts";
import { known, pciAddress, pciIds, phrase } from "./words.ts";

export const PCI_BUS_ERROR_TYPE = {
  unknown: [0, "unknown or OEM specific"],
  dataParity: [1, "data parity error"],
  systemError: 2,
  masterAbort: 3,
  busTimeout: [4, "bus timeout or no device present"],
  masterDataParity: [5, "master data parity error"],
  addressParity: [6, "address parity error"],
  commandParity: [7, "command parity error"],
} as const;

export const PciBus = struct("PCI/PCI-X Bus Error", 72, "UEFI 2.11 N.2.8", () => ({
  validation: bits(8, "Which fields hold data", {
    errorStatus: 0,
    errorType: 1,
    busId: 2,
    busAddress: 3,
    busData: 4,
    busCommand: 5,
    requestorId: 6,
    completerId: 7,
    targetId: 8,
  }),
  errorStatus: ErrorStatus,
  errorType: orZero(oneOf(2, "Kind of error", PCI_BUS_ERROR_TYPE)),
  busId: bits(2, "The bus", { bus: [0, 8], segment: [8, 8] }),
  reserved: reserved(4),
  busAddress: orZero(u64("Memory or I/O address on the bus")),
  busData: orZero(u64("Data on the bus")),
  busCommand: bits(8, "Command or operation on the bus", { command: [0, 32], commandHigh: [32, 24], pciX: 56 }),
  requestorId: orZero(u64("Who asked for the access")),
  completerId: orZero(u64("Who answered it")),
  targetId: orZero(u64("Intended target")),
}));
export type PciBus = Parsed<typeof PciBus>;
export type PciBusInput = Encodable<typeof PciBus>;

const RegisterPair = struct("PCI Register Data Pair", 16, "UEFI 2.11 N.2.9", () => ({ address: u64("Address of the register"), value: u64("Its value") }));

const PciComponentId = struct("PCI Component Id", 16, "UEFI 2.11 N.2.9", () => ({
  vendorId: orZero(hex(u16("Vendor"))),
  deviceId: orZero(hex(u16("Device"))),
  classCode: orZero(hex(u24("Class, subclass, interface"))),
  function: orZero(hex(u8("Function"))),
  device: orZero(hex(u8("Device"))),
  bus: orZero(hex(u8("Bus"))),
  segment: orZero(hex(u8("Segment"))),
  reserved: reserved(5),
}));
export const PciComponent = sequence("PCI/PCI-X Component Error", "UEFI 2.11 N.2.9", () => ({
  validation: bits(8, "Which fields hold data", { errorStatus: 0, deviceId: 1, memoryCount: 2, ioCount: 3, registerPairs: 4 }),
  errorStatus: ErrorStatus,
  deviceId: orZero(PciComponentId),
  memoryCount: orZero(u32("Memory mapped registers")),
  ioCount: orZero(u32("Programmed I/O registers")),
  memoryRegisters: validBy(list(RegisterPair, "Memory mapped registers", ref("memoryCount")), "registerPairs"),
  ioRegisters: validBy(list(RegisterPair, "Programmed I/O registers", ref("ioCount")), "registerPairs"),
}));
export type PciComponent = Parsed<typeof PciComponent>;
export type PciComponentInput = Encodable<typeof PciComponent>;

export const pciBus: SectionType = {
  guids: ["c5753963-3b84-4095-bf78-eddad3f9c9dd"],
  name: "pciBus",
  title: "PCI/PCI-X bus error",
  layout: PciBus,
  summary: (body: PciBus) =>
    phrase(
      known(body, "errorType", body.errorType, (value) => valueLabel(PCI_BUS_ERROR_TYPE, value)),
      known(body, "errorStatus", body.errorStatus?.type, (value) => (value === 0 ? "" : valueLabel(ERROR_STATUS_TYPE, value))),
      known(body, "busId", body.busId, ({ segment = 0, bus = 0 }) => `bus ${pciAddress({ segment, bus }).slice(0, 7)}`),
      known(body, "busAddress", body.busAddress, (value) => `address ${hexNumber(value)}`),
      known(body, "busCommand", body.busCommand, (value) => (value.pciX ? "PCI-X command" : "PCI command")),
      known(body, "requestorId", body.requestorId, (value) => `requestor ${hexNumber(value)}`),
      known(body, "completerId", body.completerId, (value) => `completer ${hexNumber(value)}`),
    ),
};
export const pciComponent: SectionType = {
  guids: ["eb5e4685-ca66-4769-b6a2-26068b001326"],
  name: "pciComponent",
  title: "PCI/PCI-X component error",
  layout: PciComponent,
  summary: (body: PciComponent) =>
    phrase(
      known(body, "errorStatus", body.errorStatus?.type, (value) => (value === 0 ? "" : valueLabel(ERROR_STATUS_TYPE, value))),
      known(body, "deviceId", body.deviceId, (value) => `${pciAddress(value)} (${pciIds(value)})`),
      known(body, "registerPairs", (body.memoryRegisters?.length ?? 0) + (body.ioRegisters?.length ?? 0), (value) => (value > 0 ? `${value} registers` : "")),
    ),
};
