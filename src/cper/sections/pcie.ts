/** PCI Express error section (UEFI 2.11 N.2.7). */
import {
  bits,
  type Encodable,
  hex,
  hexNumber,
  oneOf,
  orZero,
  type Parsed,
  reserved,
  type SectionType,
  struct,
  type Tree,
  u8,
  u16,
  u24,
  u32,
  u64,
  validBy,
  valueLabel,
} from "../../layout/index.ts";
import { aerErrors, aerTrees, PCIE_PORT_TYPE, PcieAer, PcieCapability } from "./pcie-capability.ts";
import { flagWords, known, pciAddress, pciIds, phrase } from "./words.ts";

/** The PCI command register (PCI Express 6.2, 7.5.1.1.3). */
export const PCI_COMMAND = {
  ioSpace: 0,
  memorySpace: 1,
  busMaster: 2,
  specialCycles: 3,
  memoryWriteAndInvalidate: 4,
  vgaPaletteSnoop: 5,
  parityErrorResponse: 6,
  idselStepping: 7,
  serr: 8,
  fastBackToBack: 9,
  interruptDisable: 10,
} as const;
/** The PCI status register (7.5.1.1.4), and the secondary status register of a bridge (7.5.1.3.7). */
export const PCI_STATUS = {
  immediateReadiness: 0,
  interrupt: 3,
  capabilitiesList: 4,
  capable66Mhz: 5,
  fastBackToBackCapable: 7,
  masterDataParityError: 8,
  devselTiming: [9, 2],
  signaledTargetAbort: 11,
  receivedTargetAbort: 12,
  receivedMasterAbort: 13,
  signaledSystemError: 14,
  detectedParityError: 15,
} as const;
const BRIDGE_CONTROL = {
  parityErrorResponse: 0,
  serr: 1,
  isa: 2,
  vga: 3,
  vga16BitDecode: 4,
  masterAbortMode: 5,
  secondaryBusReset: 6,
  fastBackToBack: 7,
  primaryDiscardTimer: 8,
  secondaryDiscardTimer: 9,
  discardTimerStatus: 10,
  discardTimerSerr: 11,
} as const;

const PcieVersion = struct("PCI Express Version", 4, "UEFI 2.11 N.2.7", () => ({
  minor: orZero(hex(u8("Minor version, BCD"))),
  major: orZero(hex(u8("Major version, BCD"))),
  reserved: reserved(2),
}));
const PcieDeviceId = struct("PCI Express Device Id", 16, "UEFI 2.11 N.2.7", () => ({
  vendorId: orZero(hex(u16("Vendor"))),
  deviceId: orZero(hex(u16("Device"))),
  classCode: orZero(hex(u24("Class, subclass, interface"))),
  function: orZero(hex(u8("Function; with rcrb, bits 7:0 of the register block's address"))),
  device: orZero(hex(u8("Device; with rcrb, bits 15:8 of the register block's address"))),
  segment: orZero(hex(u16("Segment; with rcrb, bits 31:16 of the register block's address"))),
  primaryBus: orZero(hex(u8("Bus of the device, or primary bus of a bridge"))),
  secondaryBus: orZero(hex(u8("Secondary bus of a bridge"))),
  slot: bits(2, "Slot", { number: [3, 13] }),
  reserved: reserved(1),
}));
export const PcieError = struct("PCI Express Error", 208, "UEFI 2.11 N.2.7", () => ({
  validation: bits(8, "Which fields hold data; deviceId and rcrb exclude each other", {
    portType: 0,
    version: 1,
    commandStatus: 2,
    deviceId: 3,
    serialNumber: 4,
    bridgeControlStatus: 5,
    capability: 6,
    aer: 7,
    rcrb: 8,
    rcrbHighAddress: 9,
  }),
  portType: orZero(oneOf(4, "Kind of device or port", PCIE_PORT_TYPE)),
  version: orZero(PcieVersion),
  command: validBy(bits(2, "PCI command register", PCI_COMMAND), "commandStatus"),
  status: validBy(bits(2, "PCI status register", PCI_STATUS), "commandStatus"),
  rcrbHighAddress: orZero(hex(u32("Bits 63:32 of the root complex register block's address"))),
  deviceId: orZero(validBy(PcieDeviceId, "deviceId", "rcrb")),
  serialNumber: orZero(u64("Device serial number")),
  bridgeSecondaryStatus: validBy(bits(2, "Secondary status register of a bridge", PCI_STATUS), "bridgeControlStatus"),
  bridgeControl: validBy(bits(2, "Control register of a bridge", BRIDGE_CONTROL), "bridgeControlStatus"),
  capability: orZero(PcieCapability),
  aer: orZero(PcieAer),
}));
export type PcieError = Parsed<typeof PcieError>;
export type PcieErrorInput = Encodable<typeof PcieError>;

type DeviceId = NonNullable<PcieError["deviceId"]>;
const addressWords = (id: DeviceId) => pciAddress({ segment: id.segment, bus: id.primaryBus, device: id.device, function: id.function });
/** The register block's address, which takes the place of function, device and segment. */
const rcrbAddress = ({ deviceId, rcrbHighAddress, validation }: PcieError): bigint =>
  (BigInt(validation?.rcrbHighAddress ? (rcrbHighAddress ?? 0) : 0) << 32n) |
  BigInt((deviceId?.segment ?? 0) * 0x10000 + (deviceId?.device ?? 0) * 0x100 + (deviceId?.function ?? 0));

const BASE_CLASSES = [
  "unclassified",
  "mass storage",
  "network",
  "display",
  "multimedia",
  "memory",
  "bridge",
  "communication",
  "system peripheral",
  "input",
  "docking station",
  "processor",
  "serial bus",
  "wireless",
  "intelligent I/O",
  "satellite",
  "encryption",
  "signal processing",
  "processing accelerator",
];
const classWords = (code: number) => `${code.toString(16).padStart(6, "0")}, ${BASE_CLASSES[code >> 16] ?? "unknown class"}`;

export const pcie: SectionType = {
  guids: ["d995e954-bbc1-430f-ad91-b44dcb3c6f35"],
  name: "pcie",
  title: "PCI Express error",
  layout: PcieError,
  summary: (body: PcieError) =>
    phrase(
      known(body, "portType", body.portType, (value) => valueLabel(PCIE_PORT_TYPE, value)),
      known(body, "deviceId", body.deviceId, (value) => `${addressWords(value)} (${pciIds(value)})`),
      known(body, "rcrb", body.deviceId, (value) => `root complex register block ${hexNumber(rcrbAddress(body))} (${pciIds(value)})`),
      known(body, "aer", body.aer, (value) => aerErrors(value).join(", ")),
      // Without AER the status register of the capability is all there is.
      body.validation?.aer ? undefined : known(body, "capability", body.capability?.deviceStatus, (value) => flagWords(value).join(", ")),
    ),
  explain: (body: PcieError) => {
    const out: Tree[] = [];
    const { validation: valid = {}, deviceId, version } = body;
    if (valid.version && version) out.push({ label: "PCI Express version", text: `${(version.major ?? 0).toString(16)}.${(version.minor ?? 0).toString(16)}` });
    if (valid.deviceId && deviceId) {
      out.push({ label: "device", text: addressWords(deviceId) });
      if (deviceId.slot?.number) out.push({ label: "slot", text: String(deviceId.slot.number) });
      if (deviceId.classCode !== undefined) out.push({ label: "class", text: classWords(deviceId.classCode) });
    }
    if (valid.rcrb && deviceId) out.push({ label: "root complex register block", text: hexNumber(rcrbAddress(body)) });
    if (valid.aer && body.aer) out.push({ label: "advanced error reporting", children: aerTrees(body.aer) });
    return out;
  },
};
