/** What a hand-off must keep to so that SeaBIOS and EDK2 give the guest the same tables. */
import { FADT_SIGNATURE, FadtPointers } from "../acpi/fadt.ts";
import { RSDP_CHECKSUM, RSDP_EXTENDED_CHECKSUM, RSDP_SIGNATURE, Rsdp, RsdpExtension } from "../acpi/root-tables.ts";
import { byteSum, TableHeader } from "../acpi/table-header.ts";
import { decode, hexNumber, parse, spans } from "../layout/index.ts";
import { readWord } from "../layout/values.ts";
import { ENTRY_SIZE, type Entry, fileName } from "./commands.ts";
import { FILE, type FwCfgFiles } from "./fw-cfg.ts";
import { parseScript } from "./script.ts";

export interface Problem {
  /** Index of the script's entry, where it is one entry's fault. */
  readonly entry?: number;
  /** What is wrong and which firmware does what about it. */
  readonly message: string;
  /** `mishandled`: a firmware loses or damages something. `differs`: both cope, each in its own way. */
  readonly kind: "mishandled" | "differs";
}

/** EDK2 aligns to pages and refuses more. */
const MOST_ALIGNMENT = 4096;
/** SeaBIOS keeps tables in this much of high memory; half of it, so that alignment has room. */
const MOST_BYTES = 8 << 20;
/** What is free in the F-segment of a machine with few processors, whose tables lie there too. */
const F_SEGMENT_BYTES = 1024;
/** EDK2 installs no more, Linux lists no more. */
const MOST_TABLES = 128;
const FACS_SIZE = 64;
/** Places at which the script is linked on trial: twice, so that nothing depends on them. All below 4 GiB. */
const TRIALS = [
  { base: 0x10000000, step: 0x2000000 },
  { base: 0x5a1c3000, step: 0x1d47000 },
] as const;

interface Interval {
  readonly start: number;
  readonly end: number;
  readonly entry: number;
}
const touches = (a: { readonly start: number; readonly end: number }, b: { readonly start: number; readonly end: number }): boolean =>
  a.start < b.end && b.start < a.end;

interface Loaded {
  readonly name: string;
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly zone: string | number;
  /** Where pointers were added, with what they point to. */
  readonly pointers: (Interval & { readonly source: string; readonly target: number })[];
  readonly checksums: Interval[];
  /** Ranges whose sum is settled. */
  readonly summed: Interval[];
}

interface Found {
  readonly blob: Loaded;
  readonly offset: number;
  readonly signature: string;
  readonly length: number;
}

/** Everything in these files that SeaBIOS and EDK2 would treat differently, or both badly. Empty for a safe hand-off. */
export function handOffProblems(files: FwCfgFiles): readonly Problem[] {
  const script = files.get(FILE.script);
  if (!script) return [{ kind: "mishandled", message: `there is no ${FILE.script}` }];
  if (script.bytes.length % ENTRY_SIZE !== 0)
    return [{ kind: "mishandled", message: `the script has ${script.bytes.length} bytes, no multiple of ${ENTRY_SIZE}: both firmwares refuse all of it` }];
  const found = new Map<string, Problem>();
  for (const trial of TRIALS)
    for (const problem of new Trial(files, trial.base, trial.step).run(parseScript(script.bytes).entries))
      found.set(`${problem.entry} ${problem.message}`, problem);
  return [...found.values()];
}

class Trial {
  readonly #files: FwCfgFiles;
  readonly #problems: Problem[] = [];
  readonly #loaded = new Map<string, Loaded>();
  readonly #written: { readonly file: string; readonly start: number; readonly end: number }[] = [];
  readonly #step: number;
  #next: number;
  #bytes = 0;

  constructor(files: FwCfgFiles, base: number, step: number) {
    this.#files = files;
    this.#next = base;
    this.#step = step;
  }

  run(entries: readonly Entry[]): readonly Problem[] {
    entries.forEach((entry, i) => {
      const message = this.#carryOut(entry, i);
      if (message !== undefined) this.#problems.push({ entry: i, message, kind: "mishandled" });
    });
    // What the tables look like means little while the script itself is wrong.
    if (this.#problems.length === 0) this.#checkTables();
    return this.#problems;
  }

  #carryOut(entry: Entry, index: number): string | undefined {
    switch (entry.command) {
      case "allocate":
        return this.#allocate(entry);
      case "addPointer":
        return this.#addPointer(entry, index);
      case "addChecksum":
        return this.#addChecksum(entry, index);
      case "writePointer":
        return this.#writePointer(entry);
      default:
        return undefined;
    }
  }

  #allocate(entry: Extract<Entry, { command: "allocate" }>): string | undefined {
    const name = fileName(entry.file);
    if (name === undefined) return "the file name does not end in NUL: EDK2 gives up all tables, SeaBIOS skips the entry";
    if (this.#loaded.has(name)) return `${name} is allocated twice: EDK2 gives up all tables, SeaBIOS loads it twice`;
    const file = this.#files.get(name);
    if (!file || file.bytes.length === 0) return `${name} is ${file ? "empty" : "no fw_cfg file"}: EDK2 gives up all tables, SeaBIOS skips the entry`;
    const { alignment, zone } = entry;
    if ((alignment & (alignment - 1)) !== 0) return `the alignment ${alignment} is no power of two: SeaBIOS does not load ${name}`;
    if (alignment > MOST_ALIGNMENT || alignment < 0) return `the alignment ${alignment} is larger than a page: EDK2 gives up all tables`;
    if (typeof zone === "number") return `there is no zone ${zone}: SeaBIOS does not load ${name}`;
    if (zone === "fSegment" && file.bytes.length > F_SEGMENT_BYTES)
      return `${name} has ${file.bytes.length} bytes, which SeaBIOS has no room for in the F-segment`;
    this.#bytes += file.bytes.length;
    if (this.#bytes > MOST_BYTES) return `the files take more than ${MOST_BYTES} bytes, which SeaBIOS has no room for`;
    this.#loaded.set(name, { name, address: this.#next, bytes: file.bytes.slice(), zone, pointers: [], checksums: [], summed: [] });
    this.#next += Math.ceil(Math.max(file.bytes.length, 1) / this.#step) * this.#step;
    return undefined;
  }

  #addPointer(entry: Extract<Entry, { command: "addPointer" }>, index: number): string | undefined {
    const destination = this.#find(entry.destinationFile);
    const source = this.#find(entry.sourceFile);
    if (typeof destination === "string") return destination;
    if (typeof source === "string") return source;
    const { offset, size } = entry;
    if (size !== 4 && size !== 8)
      return `a pointer of ${size} bytes holds no address: EDK2 gives up all tables, SeaBIOS ${size === 1 || size === 2 ? "cuts the address off" : "skips the entry"}`;
    if (offset + size > destination.bytes.length)
      return `the pointer at ${hexNumber(offset)} is outside ${destination.name}: EDK2 gives up all tables, SeaBIOS skips the entry`;
    const place = { start: offset, end: offset + size, entry: index };
    const other = [...destination.pointers, ...destination.checksums].find((taken) => touches(taken, place));
    if (other) return `changes bytes that entry ${other.entry} set: EDK2 gives up all tables, SeaBIOS adds both`;
    const late = destination.summed.find((range) => touches(range, place));
    if (late) return `changes bytes that entry ${late.entry} summed before: the checksum is wrong, and EDK2 drops the table`;
    const relative = size === 8 && readWord(destination.bytes, offset + 4, 4) !== 0 ? Number.POSITIVE_INFINITY : readWord(destination.bytes, offset, 4);
    if (relative >= source.bytes.length)
      return `the pointer's value lies outside ${source.name}, which has ${source.bytes.length} bytes: EDK2 gives up all tables, SeaBIOS links it all the same`;
    const value = source.address + relative;
    for (let i = 0; i < 4; i++) destination.bytes[offset + i] = Math.floor(value / 2 ** (8 * i)) & 255;
    destination.pointers.push({ ...place, source: source.name, target: relative });
    return undefined;
  }

  #addChecksum(entry: Extract<Entry, { command: "addChecksum" }>, index: number): string | undefined {
    const blob = this.#find(entry.file);
    if (typeof blob === "string") return blob;
    const { start, length, checksumOffset: offset } = entry;
    if (start + length > blob.bytes.length || offset >= blob.bytes.length)
      return `the range is outside ${blob.name}: EDK2 gives up all tables, SeaBIOS skips the entry`;
    if (offset < start || offset >= start + length) return "the checksum byte lies outside its range, so the range does not sum to zero";
    if (blob.bytes[offset] !== 0) return "the checksum byte is not zero before: SeaBIOS gets it right, EDK2 gets it wrong and drops the table";
    const place = { start: offset, end: offset + 1, entry: index };
    const other = [...blob.pointers, ...blob.checksums].find((taken) => touches(taken, place));
    if (other) return `its checksum byte is one that entry ${other.entry} set`;
    const late = blob.summed.find((range) => touches(range, place));
    if (late) return `changes bytes that entry ${late.entry} summed before: that checksum is wrong, and EDK2 drops the table`;
    blob.bytes[offset] = (256 - byteSum(blob.bytes, start, start + length)) & 255;
    blob.checksums.push(place);
    blob.summed.push({ start, end: start + length, entry: index });
    return undefined;
  }

  #writePointer(entry: Extract<Entry, { command: "writePointer" }>): string | undefined {
    const name = fileName(entry.destinationFile);
    if (name === undefined) return "the file name does not end in NUL: EDK2 gives up all tables, SeaBIOS skips the entry";
    const source = this.#find(entry.sourceFile);
    if (typeof source === "string") return source;
    const file = this.#files.get(name);
    if (!file) return `there is no fw_cfg file ${name}: EDK2 gives up all tables, SeaBIOS skips the entry`;
    if (!file.writable) return `${name} is not writable: EDK2 hangs, SeaBIOS does not notice`;
    if (entry.size !== 8) return `a written pointer of ${entry.size} bytes cannot hold every address: give it 8`;
    const place = { file: name, start: entry.destinationOffset, end: entry.destinationOffset + entry.size };
    if (place.end > file.bytes.length)
      return `the pointer is outside ${name}, which has ${file.bytes.length} bytes: EDK2 gives up all tables, SeaBIOS skips the entry`;
    if (entry.sourceOffset >= source.bytes.length)
      return `${hexNumber(entry.sourceOffset)} is outside ${source.name}: EDK2 gives up all tables, SeaBIOS skips the entry`;
    if (this.#written.some((other) => other.file === name && touches(other, place)))
      return "the same place is written before: after suspend to RAM the two firmwares leave different addresses there";
    this.#written.push(place);
    return undefined;
  }

  #find(field: string): Loaded | string {
    const name = fileName(field);
    if (name === undefined) return "the file name does not end in NUL: EDK2 gives up all tables, SeaBIOS skips the entry";
    return this.#loaded.get(name) ?? `${name} is not allocated before: EDK2 gives up all tables, SeaBIOS skips the entry`;
  }

  // ---- what the operating system will find ----

  #report(message: string, entry?: number, kind: Problem["kind"] = "mishandled"): void {
    this.#problems.push({ kind, message, ...(entry !== undefined && { entry }) });
  }

  #blobAt(address: number): Loaded | undefined {
    return [...this.#loaded.values()].find((blob) => address >= blob.address && address < blob.address + blob.bytes.length);
  }

  /** The table at an address: whole, with a right checksum; else a problem. */
  #table(address: number, what: string): Found | undefined {
    const blob = this.#blobAt(address);
    if (!blob) return void this.#report(`${what} leads to no blob`);
    const offset = address - blob.address;
    if (offset + TableHeader.size > blob.bytes.length) return void this.#report(`${what} leads to ${hexNumber(offset)} of ${blob.name}, where no table fits`);
    const { signature, length } = decode(TableHeader, blob.bytes, offset);
    const facs = signature === "FACS";
    if (length < (facs ? FACS_SIZE : TableHeader.size) || offset + length > blob.bytes.length)
      return void this.#report(`the ${signature} at ${hexNumber(offset)} of ${blob.name} says ${length} bytes: EDK2 does not install it`);
    if (!facs && byteSum(blob.bytes, offset, offset + length) !== 0)
      return void this.#report(`the ${signature} at ${hexNumber(offset)} of ${blob.name} does not sum to zero: EDK2 drops it, SeaBIOS passes it on`);
    return { blob, offset, signature, length };
  }

  /** The address in a field, which must be the place of a pointer of just that size. Undefined for zero, which nobody follows. */
  #pointerIn(blob: Loaded, offset: number, size: 4 | 8, what: string): number | undefined {
    const value = readWord(blob.bytes, offset, 4) + (size === 8 ? readWord(blob.bytes, offset + 4, 4) * 2 ** 32 : 0);
    if (value === 0) return undefined;
    if (blob.pointers.some((pointer) => pointer.start === offset && pointer.end === offset + size)) return value;
    this.#report(`${what} holds ${hexNumber(value)}, to which no entry adds an address: SeaBIOS passes it on, EDK2 ignores it`);
    return undefined;
  }

  #checkTables(): void {
    const inFSegment = [...this.#loaded.values()].filter((blob) => blob.zone === "fSegment");
    const rsdp = inFSegment.find((blob) => isRsdp(blob.bytes));
    if (!rsdp) {
      this.#report("no blob in the F-segment begins with a valid RSDP: SeaBIOS offers no tables");
      return;
    }
    if (inFSegment.length > 1) this.#report(`only the RSDP belongs in the F-segment, not ${inFSegment.find((blob) => blob !== rsdp)!.name}`);
    const root = this.#root(rsdp);
    if (!root) return;
    const entrySize = root.signature === "XSDT" ? 8 : 4;
    const reachable = new Map<number, string>();
    let tables = 0;
    for (let at = TableHeader.size; at + entrySize <= root.length; at += entrySize) {
      const address = this.#pointerIn(root.blob, root.offset + at, entrySize, `entry ${(at - TableHeader.size) / entrySize} of the ${root.signature}`);
      if (address === undefined) continue;
      const table = this.#table(address, `entry ${(at - TableHeader.size) / entrySize} of the ${root.signature}`);
      if (!table) continue;
      if (/^(RSDT|XSDT|FACS|DSDT)$/.test(table.signature)) this.#report(`the ${root.signature} lists a ${table.signature}, which EDK2 keeps elsewhere`);
      tables++;
      if (reachable.has(address))
        this.#report(
          `the ${root.signature} lists the ${table.signature} twice: so does the guest under SeaBIOS, while EDK2 lists it once`,
          undefined,
          "differs",
        );
      reachable.set(address, table.signature);
      if (table.signature === FADT_SIGNATURE) this.#followFadt(table.blob, table.offset, table.length, reachable);
    }
    const count = (signature: string) => [...reachable.values()].filter((other) => other === signature).length;
    for (const signature of [FADT_SIGNATURE, "DSDT"])
      if (count(signature) !== 1) this.#report(`there are ${count(signature)} tables ${signature}: there must be one`);
    if (Math.max(tables, reachable.size) > MOST_TABLES)
      this.#report(`there are ${Math.max(tables, reachable.size)} tables: EDK2 gives up all when there are more than ${MOST_TABLES}`);
    this.#checkTargets(reachable);
  }

  #root(rsdp: Loaded): Found | undefined {
    const parsed = parse(Rsdp, rsdp.bytes.subarray(0, RSDP_EXTENDED_CHECKSUM.length));
    const xsdt = (parsed.revision ?? 0) > 1 && parsed.extension && !(parsed.extension instanceof Uint8Array) && parsed.extension.xsdtAddress !== 0n;
    const field = spans(Rsdp, parsed).find((span) => span.path === (xsdt ? "extension.xsdtAddress" : "rsdtAddress"))!;
    const address = this.#pointerIn(rsdp, field.offset, xsdt ? 8 : 4, "the RSDP");
    if (address === undefined)
      return void this.#report("the RSDP leads to no root table: under SeaBIOS the guest has no ACPI, EDK2 makes a root table of its own");
    const root = this.#table(address, "the RSDP");
    if (root && root.signature !== (xsdt ? "XSDT" : "RSDT")) return void this.#report(`the RSDP leads to a ${root.signature}`);
    return root;
  }

  #followFadt(blob: Loaded, offset: number, length: number, reachable: Map<number, string>): void {
    if (length < FadtPointers.size) this.#report(`the FADT has ${length} bytes: EDK2 writes its pointers up to byte ${FadtPointers.size}`);
    const blank = spans(FadtPointers, decode(FadtPointers, new Uint8Array(FadtPointers.size)));
    const follow = (wide: string, narrow: string, signature: string) => {
      const addresses = [
        { path: wide, size: 8 as const },
        { path: narrow, size: 4 as const },
      ].flatMap(({ path, size }) => {
        const at = blank.find((span) => span.path === path)!.offset;
        if (at + size > length) return [];
        return this.#pointerIn(blob, offset + at, size, `the FADT's ${signature} pointer`) ?? [];
      });
      if (new Set(addresses).size > 1) this.#report(`the FADT names two tables ${signature}`);
      const [address] = addresses;
      if (address === undefined) return;
      const table = this.#table(address, `the FADT's ${signature} pointer`);
      if (table && table.signature !== signature) this.#report(`the FADT's ${signature} pointer leads to a ${table.signature}`);
      if (table) reachable.set(address, table.signature);
    };
    follow("extendedDsdt", "dsdt", "DSDT");
    follow("extendedFirmwareControl", "firmwareControl", "FACS");
  }

  /** EDK2 takes every place a pointer leads to for a table when it looks like one; SeaBIOS does not look. */
  #checkTargets(reachable: ReadonlyMap<number, string>): void {
    const targets = new Map<number, number>();
    for (const blob of this.#loaded.values())
      for (const pointer of blob.pointers) targets.set(this.#loaded.get(pointer.source)!.address + pointer.target, pointer.entry);
    for (const [address, signature] of reachable) if (!targets.has(address)) this.#report(`no pointer leads to the ${signature}: EDK2 does not see it`);
    for (const [address, entry] of targets) {
      if (reachable.has(address)) continue;
      const blob = this.#blobAt(address)!;
      const offset = address - blob.address;
      const room = blob.bytes.length - offset;
      if (room < TableHeader.size) continue;
      const { signature, length } = decode(TableHeader, blob.bytes, offset);
      if (signature === "RSDT" || signature === "XSDT") continue;
      const lengthField = { start: offset + 4, end: offset + 8 };
      const moves = blob.pointers.some((pointer) => touches({ start: pointer.start, end: pointer.start + 4 }, lengthField));
      if (moves || (length >= TableHeader.size && length <= room))
        this.#report(`what this pointer leads to in ${blob.name} looks like a table to EDK2, which may install it, and is none to SeaBIOS`, entry);
    }
  }
}

function isRsdp(bytes: Uint8Array): boolean {
  if (bytes.length < RSDP_CHECKSUM.length) return false;
  const { signature, revision = 0, extension } = parse(Rsdp, bytes.subarray(0, RSDP_EXTENDED_CHECKSUM.length));
  if (signature !== RSDP_SIGNATURE || byteSum(bytes, 0, RSDP_CHECKSUM.length) !== 0) return false;
  if (revision < 2) return true;
  const whole = RSDP_CHECKSUM.length + RsdpExtension.size;
  return bytes.length >= whole && extension !== undefined && !(extension instanceof Uint8Array) && extension.length === whole && byteSum(bytes, 0, whole) === 0;
}

/** A problem as one line. */
export const problemText = (problem: Problem): string => (problem.entry === undefined ? problem.message : `entry ${problem.entry}: ${problem.message}`);
