/** Ampere's sections (openbmc/libcper and rasdaemon behaviour). */
import {
  bits,
  choice,
  hex,
  hexNumber,
  orZero,
  type Parsed,
  ref,
  reserved,
  type SectionType,
  sequence,
  struct,
  u8,
  u16,
  u32,
  u64,
  valueLabel,
} from "../../layout/index.ts";
import { CORRECTABLE_ERROR, UNCORRECTABLE_ERROR } from "./pcie-capability.ts";

const LIBCPER = "openbmc/libcper cper-section-ampere.h";
const RASDAEMON = "rasdaemon non-standard-ampere.h";

export const AmpereError = struct("Ampere Error", 8, LIBCPER, () => ({
  typeId: u16("Kind of error"),
  subtypeId: u16("More of the kind"),
  instanceId: hex(u32("Instance")),
}));
export type AmpereError = Parsed<typeof AmpereError>;

const TYPE = {
  cpu: [0, "CPU"],
  mcu: [1, "memory controller"],
  mesh: 2,
  link2p: [3, "2P link"],
  link2pMore: [4, "2P link"],
  gic: [5, "GIC"],
  smmu: [6, "SMMU"],
  pcieAer: [7, "PCIe AER"],
  pcieRasdp: [8, "PCIe RAS data path"],
  ocm: [9, "on-chip memory"],
  smpro: [10, "SMpro"],
  pmpro: [11, "PMpro"],
  atf: [12, "trusted firmware"],
  smproFirmware: [13, "SMpro firmware"],
  pmproFirmware: [14, "PMpro firmware"],
  bert: [63, "BERT"],
} as const;

const NodePayload = struct("Ampere RAS Node", 44, `${RASDAEMON}, payload type 0`, () => ({
  status: hex(u32("Status")),
  address: u64("Address"),
  misc0: u64("Misc 0"),
  misc1: u64("Misc 1"),
  misc2: u64("Misc 2"),
  misc3: u64("Misc 3"),
}));
const AerPayload = struct("Ampere PCIe AER", 44, `${RASDAEMON}, payload type 1`, () => ({
  uncorrectableStatus: bits(4, "Uncorrectable errors that occurred", UNCORRECTABLE_ERROR),
  uncorrectableMask: bits(4, "Uncorrectable errors that are not reported", UNCORRECTABLE_ERROR),
  uncorrectableSeverity: bits(4, "Uncorrectable errors that are fatal", UNCORRECTABLE_ERROR),
  correctableStatus: bits(4, "Correctable errors that occurred", CORRECTABLE_ERROR),
  correctableMask: bits(4, "Correctable errors that are not reported", CORRECTABLE_ERROR),
  rootErrorCommand: hex(u32("Root error command")),
  rootErrorStatus: hex(u32("Root error status")),
  errorSource: hex(u32("Error source identification")),
  reserved: reserved(12),
}));
const RasdpPayload = struct("Ampere PCIe RAS Data Path", 44, `${RASDAEMON}, payload type 2`, () => ({
  correctableRegister: hex(u32("Correctable error register")),
  correctableLocation: hex(u32("Correctable error location")),
  correctableAddress: hex(u32("Correctable error address")),
  uncorrectableRegister: hex(u32("Uncorrectable error register")),
  uncorrectableLocation: hex(u32("Uncorrectable error location")),
  uncorrectableAddress: hex(u32("Uncorrectable error address")),
  reserved: reserved(20),
}));
const FirmwarePayload = struct("Ampere Firmware", 44, `${RASDAEMON}, payload type 3`, () => ({
  firmwareSpecific0: hex(u32("Data 0 of the firmware")),
  firmwareSpecific1: u64("Data 1 of the firmware"),
  firmwareSpecific2: u64("Data 2 of the firmware"),
  firmwareSpecific3: u64("Data 3 of the firmware"),
  firmwareSpecific4: u64("Data 4 of the firmware"),
  firmwareSpecific5: u64("Data 5 of the firmware"),
}));

export const AmpereRas = sequence("Ampere RAS Error", RASDAEMON, () => ({
  type: bits(1, "Kind of error and of the payload", { type: { at: [0, 6], names: TYPE }, payload: [6, 2] }),
  subtype: orZero(u8("More of the kind")),
  instance: bits(2, "Instance", { instance: [0, 14], socket: [14, 2] }),
  payload: choice(ref("type.payload"), "The payload", { 0: NodePayload, 1: AerPayload, 2: RasdpPayload, 3: FirmwarePayload }),
}));
export type AmpereRas = Parsed<typeof AmpereRas>;

export const ampereSections: readonly SectionType[] = [
  {
    guids: ["2826cc9f-448c-4c2b-86b6-a95394b7ef33"],
    name: "ampere",
    title: "Ampere error",
    layout: AmpereError,
    summary: (body: AmpereError) => `type ${body.typeId ?? 0}, subtype ${body.subtypeId ?? 0}, instance ${hexNumber(body.instanceId ?? 0)}`,
    secondHand: LIBCPER,
  },
  {
    guids: ["e8ed898d-df16-43cc-8ecc-54f060ef157f"],
    name: "ampereRas",
    title: "Ampere RAS error",
    layout: AmpereRas,
    summary: ({ type, subtype, instance, payload }: AmpereRas) => {
      const node = payload && !(payload instanceof Uint8Array) ? (payload as Partial<Parsed<typeof NodePayload>>) : {};
      return [
        type?.type === undefined ? "" : valueLabel(TYPE, type.type),
        `subtype ${subtype ?? 0}`,
        `socket ${instance?.socket ?? 0}, instance ${instance?.instance ?? 0}`,
        type?.payload === 0 && node.status !== undefined ? `status ${hexNumber(node.status)}` : "",
        type?.payload === 0 && node.address ? `address ${hexNumber(node.address)}` : "",
      ]
        .filter((part) => part !== "")
        .join(", ");
    },
    secondHand: RASDAEMON,
  },
];
