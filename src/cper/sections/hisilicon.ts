/** HiSilicon's sections for Kunpeng processors (rasdaemon behaviour). */
import {
  bits,
  hex,
  hexNumber,
  list,
  type Names,
  type Node,
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
  u32,
  u64,
  valueLabel,
  window,
} from "../../layout/index.ts";

const COMMON = "rasdaemon non-standard-hisilicon.c";
const HIP08 = "rasdaemon non-standard-hisi_hip08.c";

const SEVERITY = { recoverable: 0, fatal: 1, corrected: 2, none: 3 } as const;
const SOC = { kunpeng916: [0, "Kunpeng 916"], kunpeng920: [1, "Kunpeng 920"], kunpeng930: [2, "Kunpeng 930"] } as const;

const named = (names: readonly string[]): Names =>
  Object.fromEntries(names.map((name, value) => [name.toLowerCase().replace(/[ _](.)/g, (_, letter: string) => letter.toUpperCase()), [value, name] as const]));
const numbered = (names: Readonly<Record<string, number>>): Names =>
  Object.fromEntries(Object.entries(names).map(([name, value]) => [name.toLowerCase(), [value, name] as const]));

const moduleNames = () =>
  named(
    (
      "MN,PLL,SLLC,AA,SIOE,POE,CPA,DISP,GIC,ITS,AVSBUS,CS,PPU,SMMU,PA,HLLC,DDRC,L3TAG,L3DATA,PCS,HHA,PCIe Local,SAS,SATA,NIC,RoCE,USB,ZIP,HPRE,SEC,RDE," +
      "MEE,L4D,Tsensor,ROH,BTC,HILINK,STARS,SDMA,UC,HBMC,PMC,SCHE,ASMB_DFS,ASMB_NTU,UB,UMMU,PCU,UCMI,DJTAGM,CFGBUS,MPU,CRG"
    ).split(","),
  );
const type1ModuleNames = () => numbered({ MN: 0, PLL: 1, SLLC: 2, AA: 3, SIOE: 4, POE: 5, DISP: 8, LPC: 9, GIC: 13, RDE: 14, SAS: 15, SATA: 16, USB: 17 });
const type2ModuleNames = () => numbered({ SMMU: 0, HHA: 1, PA: 2, HLLC: 3, DDRC: 4, L3TAG: 5, L3DATA: 6 });
const pcieSubmoduleNames = () => numbered({ AP: 0, TL: 1, MAC: 2, DL: 3, SDI: 4 });

const Register = struct("Register", 4, COMMON, () => ({ value: hex(u32("Value")) }));
export const HisiliconCommon = sequence("HiSilicon Error", COMMON, () => ({
  validation: bits(4, "Which fields hold data", {
    socId: 0,
    socketId: 1,
    totemId: 2,
    nimbusId: 3,
    subsystemId: 4,
    moduleId: 5,
    submoduleId: 6,
    coreId: 7,
    portId: 8,
    errorType: 9,
    pcie: 10,
    severity: 11,
    registerBytes: 12,
  }),
  version: orZero(u8("Version")),
  socId: orZero(oneOf(1, "System on chip", SOC)),
  socketId: orZero(u8("Processor socket")),
  totemId: orZero(u8("Totem")),
  nimbusId: orZero(u8("Nimbus")),
  subsystemId: orZero(u8("Subsystem")),
  moduleId: orZero(oneOf(1, "Module", moduleNames())),
  submoduleId: orZero(u8("Submodule")),
  coreId: orZero(u8("Core")),
  portId: orZero(u8("Port")),
  errorType: orZero(u16("Kind of error")),
  pcie: orZero(
    struct("PCIe Device", 8, COMMON, {
      function: u8("Function"),
      device: hex(u8("Device")),
      segment: hex(u16("Segment")),
      bus: hex(u8("Bus")),
      reserved: reserved(3),
    }),
  ),
  severity: orZero(oneOf(1, "Severity", SEVERITY)),
  reserved: reserved(3),
  registerBytes: orZero(u32("Bytes of registers")),
  registers: window(ref("registerBytes"), list(Register, "Registers")),
}));
export type HisiliconCommon = Parsed<typeof HisiliconCommon>;

/** What both HIP08 forms begin with; `more` are the validation bits of what follows. */
const hip08Start = <const M extends Names, const V extends Readonly<Record<string, number>>>(modules: M, more: V) =>
  ({
    validation: bits(4, "Which fields hold data", { socId: 0, socketId: 1, nimbusId: 2, moduleId: 3, submoduleId: 4, severity: 5, ...more }),
    version: orZero(u8("Version")),
    socId: orZero(u8("System on chip")),
    socketId: orZero(u8("Processor socket")),
    nimbusId: orZero(u8("Nimbus")),
    moduleId: orZero(oneOf(1, "Module", modules)),
    submoduleId: orZero(u8("Submodule")),
    severity: orZero(oneOf(1, "Severity", SEVERITY)),
    reserved: reserved(1),
  }) as const;
export const Hip08Type1 = struct("HiSilicon HIP08 Type 1", 40, HIP08, () => ({
  ...hip08Start(type1ModuleNames(), { misc0: 6, misc1: 7, misc2: 8, misc3: 9, misc4: 10, address: 11 }),
  misc0: orZero(hex(u32("Misc 0"))),
  misc1: orZero(hex(u32("Misc 1"))),
  misc2: orZero(hex(u32("Misc 2"))),
  misc3: orZero(hex(u32("Misc 3"))),
  misc4: orZero(hex(u32("Misc 4"))),
  address: orZero(u64("Address")),
}));
export type Hip08Type1 = Parsed<typeof Hip08Type1>;
export const Hip08Type2 = struct("HiSilicon HIP08 Type 2", 60, HIP08, () => ({
  ...hip08Start(type2ModuleNames(), { fr: 6, ctrl: 7, status: 8, address: 9, misc0: 10, misc1: 11 }),
  fr: orZero(u64("ERR<n>FR, features")),
  ctrl: orZero(u64("ERR<n>CTLR, control")),
  status: orZero(u64("ERR<n>STATUS, status")),
  address: orZero(u64("ERR<n>ADDR, address")),
  misc0: orZero(u64("ERR<n>MISC0")),
  misc1: orZero(u64("ERR<n>MISC1")),
}));
export type Hip08Type2 = Parsed<typeof Hip08Type2>;

const PCIE_REGISTERS = 33;
const FIRST_REGISTER_BIT = 9;
const register = (i: number) => orZero(hex(u32(`Register ${i}`)));
const registerNumbers = Array.from({ length: PCIE_REGISTERS }, (_, i) => i);
export const Hip08PcieLocal = struct("HiSilicon HIP08 PCIe Local", 152, HIP08, () => ({
  validation: bits(8, "Which fields hold data", {
    version: 0,
    socId: 1,
    socketId: 2,
    nimbusId: 3,
    submoduleId: 4,
    coreId: 5,
    portId: 6,
    errorType: 7,
    severity: 8,
    ...(Object.fromEntries(registerNumbers.map((i) => [`misc${i}`, FIRST_REGISTER_BIT + i])) as { readonly [name: `misc${number}`]: number }),
  }),
  version: orZero(u8("Version")),
  socId: orZero(u8("System on chip")),
  socketId: orZero(u8("Processor socket")),
  nimbusId: orZero(u8("Nimbus")),
  submoduleId: orZero(oneOf(1, "Submodule", pcieSubmoduleNames())),
  coreId: orZero(u8("Core")),
  portId: orZero(u8("Port")),
  severity: orZero(oneOf(1, "Severity", SEVERITY)),
  errorType: orZero(u16("Kind of error")),
  reserved: reserved(2),
  ...(Object.fromEntries(registerNumbers.map((i) => [`misc${i}`, register(i)])) as { readonly [name: `misc${number}`]: ReturnType<typeof register> }),
}));
export type Hip08PcieLocal = Parsed<typeof Hip08PcieLocal>;

/** Words of the valid ones among the fields all four sections know. */
function where(layout: { readonly fields: object }, body: object): string {
  const nodes = layout.fields as Readonly<Record<string, Node>>;
  const fields = body as Readonly<Record<string, unknown>>;
  const valid = (fields["validation"] ?? {}) as Readonly<Record<string, unknown>>;
  const labels = {
    severity: "",
    socId: "SoC",
    socketId: "socket",
    nimbusId: "nimbus",
    moduleId: "module",
    submoduleId: "submodule",
    coreId: "core",
    portId: "port",
  };
  const parts = Object.entries(labels).flatMap(([name, label]) => {
    const value = fields[name];
    if (!valid[name] || value === undefined) return [];
    const node = nodes[name];
    const words = node?.kind === "enum" ? valueLabel(node.names, value as string | number) : String(value);
    return [label === "" ? words : `${label} ${words}`];
  });
  if (valid["address"] && typeof fields["address"] === "bigint") parts.push(`address ${hexNumber(fields["address"])}`);
  return parts.join(", ");
}

export const hisiliconSections: readonly SectionType[] = [
  {
    guids: ["c8b328a8-9917-4af6-9a13-2e08ab2e7586"],
    name: "hisilicon",
    title: "HiSilicon error",
    layout: HisiliconCommon,
    summary: (body: HisiliconCommon) => {
      const at = body.pcie;
      const two = (value: number) => value.toString(16).padStart(2, "0");
      return [
        where(HisiliconCommon, body),
        body.validation?.errorType ? `error type ${body.errorType ?? 0}` : "",
        body.validation?.pcie && at ? `PCIe device ${two(at.segment).padStart(4, "0")}:${two(at.bus)}:${two(at.device)}.${at.function}` : "",
      ]
        .filter((part) => part !== "")
        .join(", ");
    },
    secondHand: COMMON,
  },
  {
    guids: ["1f8161e1-55d6-41e6-bd10-7afd1dc5f7c5"],
    name: "hip08Type1",
    title: "HiSilicon HIP08 type 1 error",
    layout: Hip08Type1,
    summary: (body: Hip08Type1) => where(Hip08Type1, body),
    secondHand: HIP08,
  },
  {
    guids: ["45534ea6-ce23-4115-8535-e07ab3aef91d"],
    name: "hip08Type2",
    title: "HiSilicon HIP08 type 2 error",
    layout: Hip08Type2,
    summary: (body: Hip08Type2) => where(Hip08Type2, body),
    secondHand: HIP08,
  },
  {
    guids: ["b2889fc9-e7d7-4f9d-a867-af42e98be772"],
    name: "hip08PcieLocal",
    title: "HiSilicon HIP08 PCIe local error",
    layout: Hip08PcieLocal as unknown as SectionType["layout"],
    summary: (body: object) => where(Hip08PcieLocal, body),
    secondHand: HIP08,
  },
];
