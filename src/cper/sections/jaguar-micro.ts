/** Jaguar Micro's sections: one GUID for each form of the registers (rasdaemon behaviour). */
import {
  array,
  bits,
  hex,
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
  u32,
  u64,
  valueLabel,
  window,
} from "../../layout/index.ts";

const SOURCE = "rasdaemon non-standard-jaguarmicro.c";
const SEVERITY = { recoverable: 0, fatal: 1, corrected: 2, none: 3 } as const;

const head = () =>
  ({
    validation: bits(4, "Which fields hold data", {
      version: 0,
      socId: 1,
      subsystemId: 2,
      moduleId: 3,
      submoduleId: 4,
      deviceId: 5,
      errorType: 6,
      severity: 7,
      registers: 11,
    }),
    version: orZero(u8("Version")),
    socId: orZero(u8("System on chip")),
    subsystemId: orZero(u8("Subsystem")),
    moduleId: orZero(u8("Module")),
    submoduleId: orZero(u8("Submodule")),
    deviceId: orZero(u8("Device")),
    errorType: orZero(hex(u16("Kind of error"))),
    severity: orZero(oneOf(1, "Severity", SEVERITY)),
    reserved: reserved(3),
  }) as const;
const Register = struct("Register", 4, SOURCE, () => ({ value: hex(u32("Value")) }));
const tail = () =>
  ({
    extraBytes: orZero(u32("Bytes of further registers")),
    extraRegisters: window(ref("extraBytes"), list(Register, "Further registers")),
  }) as const;

const words = (name: string, count: number) =>
  sequence(`Jaguar Micro ${name}`, SOURCE, () => ({ ...head(), registers: orZero(array(count, hex(u32("Register")), "Registers of the unit")), ...tail() }));
const doubleWords = (name: string, count: number) =>
  sequence(`Jaguar Micro ${name}`, SOURCE, () => ({ ...head(), registers: orZero(array(count, u64("Register"), "Registers of the unit")), ...tail() }));

export const JaguarMicroCommon = words("Error", 15);
export const JaguarMicroSmmu = words("SMMU Error", 5);
export const JaguarMicroSram = words("HAC SRAM Error", 4);
export const JaguarMicroCmn = doubleWords("CMN Error", 14);
export const JaguarMicroGic = doubleWords("GIC Error", 8);
type JaguarMicro = Parsed<typeof JaguarMicroCommon>;

function summary(body: JaguarMicro): string {
  const valid = body.validation ?? {};
  const names = { socId: "SoC", subsystemId: "subsystem", moduleId: "module", submoduleId: "submodule", deviceId: "device", errorType: "error type" } as const;
  return [
    valid.severity && body.severity !== undefined ? valueLabel(SEVERITY, body.severity) : "",
    ...Object.entries(names).map(([name, label]) =>
      valid[name as keyof typeof names] && body[name as keyof typeof names] !== undefined ? `${label} ${body[name as keyof typeof names]}` : "",
    ),
  ]
    .filter((part) => part !== "")
    .join(", ");
}

const type = (guid: string, name: string, title: string, layout: SectionType["layout"], secondHand: string = SOURCE): SectionType => ({
  guids: [guid],
  name,
  title,
  layout,
  summary,
  secondHand,
});
const BY_ORDER = `${SOURCE}; which form the GUID has is inferred from the order in that file`;

export const jaguarMicroSections: readonly SectionType[] = [
  type("82d78ba3-fa14-407a-ba0e-f3ba8170013c", "jaguarMicro", "Jaguar Micro error", JaguarMicroCommon),
  type("f9723053-2558-49b1-b58a-1c1a82492a62", "jaguarMicroSmmu", "Jaguar Micro SMMU error", JaguarMicroSmmu, BY_ORDER),
  type("2d31de54-3037-4f24-a283-f69ca1ec0b9a", "jaguarMicroSram", "Jaguar Micro HAC SRAM error", JaguarMicroSram),
  type("dac80d69-0a72-4eba-8114-148ee344af06", "jaguarMicroCmn", "Jaguar Micro CMN error", JaguarMicroCmn, BY_ORDER),
  type("746f06fe-405e-451f-8d09-02e802ed984a", "jaguarMicroGic", "Jaguar Micro GIC error", JaguarMicroGic),
];
