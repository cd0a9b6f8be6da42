/** Hand-offs spoilt at random. */
import fc from "fast-check";
import type { Entry } from "../../src/loader/commands.ts";
import { FILE, type FwCfgFile } from "../../src/loader/fw-cfg.ts";
import { encodeScript, parseScript } from "../../src/loader/script.ts";

export type Files = Map<string, FwCfgFile>;

/** One change of the kind people make by mistake, or a harmless one. */
export interface Change {
  readonly kind: "drop" | "swap" | "repeat" | "field" | "zone" | "overlap" | "script byte" | "table byte" | "blob byte" | "none";
  readonly where: number;
  readonly value: number;
}
export const change = fc.record<Change>({
  kind: fc.constantFrom("drop", "swap", "repeat", "field", "zone", "overlap", "script byte", "table byte", "blob byte", "none"),
  where: fc.nat(1 << 16),
  value: fc.oneof(fc.nat(80), fc.nat(5000), fc.constantFrom(0x1000, 0x7fffffff, 0xffffffff)),
});

/** The files with one change made; the script and one other file are new, the rest is shared. */
export function apply(original: Files, { kind, where, value }: Change): Files {
  const result: Files = new Map(original);
  const { entries } = parseScript(original.get(FILE.script)!.bytes);
  const used = entries.filter((entry) => entry.command !== 0);
  const at = where % used.length;
  const write = (list: readonly Entry[]) => result.set(FILE.script, { bytes: encodeScript({ entries: list }) });
  switch (kind) {
    case "drop":
      return write(used.toSpliced(at, 1)) && result;
    case "swap": {
      const other = value % used.length;
      return write(used.with(at, used[other]!).with(other, used[at]!)) && result;
    }
    case "repeat":
      return write(used.toSpliced(value % used.length, 0, used[at]!)) && result;
    case "field": {
      const numbers = Object.entries(used[at]!).filter(([, field]) => typeof field === "number");
      const [name] = numbers[where % numbers.length] ?? ["alignment"];
      const most = name === "size" || name === "zone" ? 255 : 0xffffffff;
      return write(used.with(at, { ...used[at]!, [name]: value % (most + 1) } as Entry)) && result;
    }
    case "zone": {
      const allocations = used.flatMap((entry, i) => (entry.command === "allocate" ? [i] : []));
      const which = allocations[where % allocations.length]!;
      return write(used.with(which, { ...used[which]!, zone: (["high", "fSegment", value & 255] as const)[where % 3]! } as Entry)) && result;
    }
    case "overlap": {
      // Two pointers in the last bytes of the tables that share some of theirs.
      const offset = original.get(FILE.tables)!.bytes.length - 32 + (value % 12);
      const pointer = (at: number, size: number): Entry => ({
        command: "addPointer",
        destinationFile: FILE.tables,
        sourceFile: FILE.tables,
        offset: at,
        size,
        unused: undefined,
      });
      return write([...used, pointer(offset, 8), pointer(offset + 1 + (where % 7), value & 16 ? 4 : 8)]) && result;
    }
    case "script byte": {
      const bytes = encodeScript({ entries: used });
      bytes[(where * 61 + value) % bytes.length] = value & 255;
      return result.set(FILE.script, { bytes });
    }
    case "table byte":
    case "blob byte": {
      const names = [...original.keys()].filter((name) =>
        kind === "table byte" ? name === FILE.tables : name !== FILE.script && name !== FILE.tables && !original.get(name)!.writable,
      );
      const name = names[where % names.length]!;
      const file = original.get(name)!;
      const bytes = file.bytes.slice();
      bytes[(where * 31 + value) % Math.min(bytes.length, 1200)] = value & 255;
      return result.set(name, { ...file, bytes });
    }
    default:
      return result;
  }
}
