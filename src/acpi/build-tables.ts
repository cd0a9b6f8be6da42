/** Tables from descriptions: lengths, counts and checksums are computed, everything else is what the description says. */
import { EncodeError, encode, fromJson, hexNumber, type Json, lookUp, type Node, type Root } from "../layout/index.ts";
import { ERST_ACTION, type ErstActionName } from "./action-entry.ts";
import { Bert } from "./bert.ts";
import { Cedt } from "./cedt.ts";
import { Einj } from "./einj.ts";
import { Erst } from "./erst.ts";
import { Hest } from "./hest.ts";
import { Rsdt, Xsdt } from "./root-tables.ts";
import { AcpiTable } from "./table-format.ts";
import { fixChecksum, TableHeader } from "./table-header.ts";

type JsonObject = { readonly [key: string]: Json };
const isObject = (json: Json | undefined): json is { [key: string]: Json } => typeof json === "object" && json !== null && !Array.isArray(json);

const LAYOUTS: Readonly<Record<string, Root>> = { HEST: Hest, BERT: Bert, ERST: Erst, EINJ: Einj, CEDT: Cedt, RSDT: Rsdt, XSDT: Xsdt } as never;
/** Signatures `buildTable` knows the layout of; others are built from a header and a `body` in hex. */
export const BUILT_TABLES: readonly string[] = Object.keys(LAYOUTS);

/**
 * Fill in what can be counted: every field that only says how many items a list has.
 * What the description gives itself is left as it is, wrong or not.
 */
function counted(node: Node, json: Json): Json {
  if (Array.isArray(json)) return json.map((item) => counted(node, item));
  if (!isObject(json)) return json;
  if (node.kind === "variant") {
    const tag = json[node.tag];
    const found = typeof tag === "string" ? node.cases[tag] : undefined;
    return found ? counted(found, json) : json;
  }
  if (node.kind !== "struct" && node.kind !== "sequence") return json;
  const out: Record<string, Json> = { ...json };
  for (const [name, field] of Object.entries(node.fields) as [string, Node][]) {
    const list = field.kind === "window" ? field.item : field;
    if (list.kind === "list") {
      const items = json[name];
      if (Array.isArray(items)) out[name] = items.map((item) => counted(list.item, item));
      if (list.count && lookUp(list.count, json) === undefined && Object.hasOwn(node.fields, list.count.path))
        out[list.count.path] = Array.isArray(items) ? items.length : 0;
    } else if (json[name] !== undefined) out[name] = counted(field, json[name]);
  }
  return out;
}

/**
 * Build a table from its JSON form (the one `decode` prints), in which everything that can be computed may be
 * left out: signature, length and checksum of the header, counts of sources, banks and entries.
 * A given length or checksum is kept, so that broken tables can be made on purpose.
 * @param signature four characters, such as "HEST".
 * @throws EncodeError naming the member that is wrong.
 */
export function buildTable(signature: string, description: JsonObject): Uint8Array {
  if (signature === "ERST" && isObject(description["qemu"])) return fromQemuDescription(description["qemu"]);
  const layout = LAYOUTS[signature] ?? (AcpiTable as unknown as Root);
  const given = description["header"];
  if (given !== undefined && !isObject(given)) throw new EncodeError("header", "is not an object");
  const header = { signature, ...given };
  const bytes = encode(layout as never, fromJson(layout, counted(layout, { ...description, header: { ...header, length: 0, checksum: 0 } })));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const number = (name: "length" | "checksum", most: number): number | undefined => {
    const value = given?.[name];
    if (value === undefined) return undefined;
    const result = typeof value === "string" ? Number(value) : value;
    if (typeof result !== "number" || !Number.isSafeInteger(result) || result < 0 || result > most)
      throw new EncodeError(`header.${name}`, `${JSON.stringify(value)} does not fit`);
    return result;
  };
  view.setUint32(LENGTH_OFFSET, number("length", 0xffffffff) ?? bytes.length, true);
  const checksum = number("checksum", 255);
  fixChecksum(bytes);
  if (checksum !== undefined) bytes[CHECKSUM] = checksum;
  return bytes;
}
const LENGTH_OFFSET = TableHeader.fields.signature.size;
const CHECKSUM = LENGTH_OFFSET + TableHeader.fields.length.size + TableHeader.fields.revision.size;

// ---- QEMU's ERST device ----

/** Offset of the value register behind the action register, bytes. */
const VALUE_REGISTER = 8n;
/** What has to be in the value register when an operation is to be executed. */
const EXECUTE_MAGIC = 0x9c;
type Step = readonly ["writeAction" | "write" | "writeExecute" | "read" | "test", bits?: 32 | 64];
const START: Step = ["writeAction"];
/** What each action does with the two registers of the device (QEMU hw/acpi/erst.c behaviour), in table order. */
const QEMU_ACTIONS: readonly (readonly [ErstActionName, ...Step[]])[] = [
  ["beginWriteOperation", START],
  ["beginReadOperation", START],
  ["beginClearOperation", START],
  ["endOperation", START],
  ["setRecordOffset", ["write", 32], START],
  ["executeOperation", ["writeExecute"], START],
  ["checkBusyStatus", START, ["test", 32]],
  ["getCommandStatus", START, ["read", 32]],
  ["getRecordIdentifier", START, ["read", 64]],
  ["setRecordIdentifier", ["write", 64], START],
  ["getRecordCount", START, ["read", 32]],
  ["beginDummyWriteOperation", START],
  ["getErrorLogAddressRange", START, ["read", 64]],
  ["getErrorLogAddressRangeLength", START, ["read", 64]],
  ["getErrorLogAddressRangeAttributes", START, ["read", 32]],
  ["getExecuteOperationTimings", START, ["read", 64]],
];

/**
 * The table QEMU builds for its `acpi-erst` device: 27 entries, 912 bytes.
 * @param base guest physical address of the device's BAR 0; all ones where it was not assigned.
 */
export function qemuErst(base: bigint): Uint8Array {
  const entries = QEMU_ACTIONS.flatMap(([action, ...steps]) =>
    steps.map(([step, bits = 32]) => {
      const ofAction = step === "writeAction";
      const instruction = {
        writeAction: "writeRegisterValue",
        writeExecute: "writeRegisterValue",
        write: "writeRegister",
        read: "readRegister",
        test: "readRegisterValue",
      }[step];
      const value = ofAction ? ERST_ACTION[action] : step === "writeExecute" ? EXECUTE_MAGIC : step === "test" ? 1 : 0;
      return {
        action,
        instruction,
        registerRegion: {
          addressSpace: "systemMemory",
          registerBitWidth: bits,
          accessSize: bits === 64 ? "qword" : "dword",
          address: hexNumber(BigInt.asUintN(64, ofAction ? base : base + VALUE_REGISTER)),
        },
        value,
        mask: bits === 64 ? "0xffffffffffffffff" : 0xffffffff,
      };
    }),
  );
  return buildTable("ERST", {
    header: { oemId: "BOCHS ", oemTableId: "BXPC    ", creatorId: "BXPC" },
    entries,
  });
}

function fromQemuDescription(qemu: JsonObject): Uint8Array {
  const { base, ...others } = qemu;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) throw new EncodeError(`qemu.${unknown}`, "no such member; there is only base");
  if (typeof base !== "string" || !/^0x[0-9a-fA-F]{1,16}$/.test(base)) throw new EncodeError("qemu.base", 'is not an address such as "0xfebf1000"');
  return qemuErst(BigInt(base));
}
