/** The error record store of a real machine: its device, and what is predicted of it beside what is found. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RecordHeader, SectionDescriptor } from "../cper/record.ts";
import { type CperRecord, parseRecord } from "../cper/record-codec.ts";
import type { ErstDriver } from "../guest/erst.ts";
import { ERST_STARTS, messageRecord, messageText, mountPstore, type PstoreContents, readStoredLine } from "../guest/pstore.ts";
import type { KernelVersion } from "../guest/report/words.ts";
import { type Json, toJson } from "../layout/index.ts";
import { StoreDevice, storedLine, storedRecords } from "../scenario/error-store.ts";
import { heldFolder } from "./guardian.ts";
import { GUEST_SAYS, INJECTION_FILES } from "./initramfs.ts";
import { type Comparison, compareLines, consoleLines, isLastWord, isStoreLine, plainLines } from "./kernel-log.ts";
import { optionPath } from "./platform.ts";

/** Any address: the model's device is asked by itself. */
const MODEL_BASE = 0x1000_0000n;
/** Seconds the clocks of guest and host may differ. */
const CLOCKS = 5;

/** What the guest is expected to leave when it dies: its last messages, each with its level. */
export type LastWords = readonly string[];

/** Where its bytes are. */
interface Backing {
  /** The file behind QEMU's device. */
  readonly path?: string;
  readonly content: () => Uint8Array;
  readonly release: () => Promise<void>;
}

export class RealStore {
  /** Words of QEMU's command line, and what the machine has by them. */
  readonly words: readonly string[];
  readonly device: string;
  readonly #backing: Backing;
  readonly #model: StoreDevice;
  readonly #driver: ErstDriver;
  readonly #started = Math.floor(Date.now() / 1000);
  #mounted: PstoreContents = { files: [], messages: [] };

  private constructor(bytes: Uint8Array, backing: Backing) {
    this.#backing = backing;
    this.#model = new StoreDevice(bytes, MODEL_BASE);
    this.#driver = this.#model.driver();
    const { path } = backing;
    this.device = path === undefined ? "" : `acpi-erst,record_size=${this.#driver.rangeLength}`;
    this.words =
      path === undefined
        ? []
        : ["-object", `memory-backend-file,id=store,mem-path=${optionPath(path)},size=${bytes.length},share=on`, "-device", `${this.device},memdev=store`];
  }

  /** A store that is served from outside: its bytes change there. */
  static served(bytes: Uint8Array): RealStore {
    return new RealStore(bytes, { content: () => bytes.slice(), release: async () => undefined });
  }
  /** A store in a file that goes with this process, behind QEMU's device. @throws UsageError for bytes that are no store. */
  static async open(bytes: Uint8Array): Promise<RealStore> {
    const held = await heldFolder();
    try {
      const path = join(held.folder, "store");
      await writeFile(path, bytes);
      return new RealStore(bytes, { path, content: () => new Uint8Array(readFileSync(path)), release: () => held.release() });
    } catch (error) {
      await held.release();
      throw error;
    }
  }
  async release(): Promise<void> {
    await this.#backing.release();
  }

  /** What is in it now. */
  get content(): Uint8Array {
    return this.#backing.content();
  }

  /** What the guest's drivers say and, when it prints them, the files of its store. */
  compareStart(console: string, version: KernelVersion, printsFiles: boolean): Comparison[] {
    this.#mounted = mountPstore(this.#driver, version);
    const said = plainLines(console).filter(isStoreLine);
    // Whether and when a guest that is not ours mounts the store is its own business.
    const expected = printsFiles ? [...ERST_STARTS, ...this.#mounted.messages] : ERST_STARTS;
    const out = [
      {
        title: "What the kernel says about the error record store",
        lines: compareLines(
          expected,
          said.filter((line) => printsFiles || ERST_STARTS.includes(line)),
        ),
      },
    ];
    if (!printsFiles) return out;
    const list = (files: readonly StoredFile[]) => files.map(fileLine).sort();
    return [
      ...out,
      {
        title: "The files the guest finds in its error record store",
        lines: compareLines(list(this.#mounted.files), list(printedFiles(console).filter(({ name }) => !name.startsWith(INJECTION_FILES)))),
      },
    ];
  }

  /** The name of the file that stands for a record. */
  fileOf(id: bigint): string | undefined {
    return this.#mounted.files.find((file) => file.id === id)?.name;
  }
  /** The line for a file's content, as predicted. */
  lineOf(name: string): string | undefined {
    const file = this.#mounted.files.find((candidate) => candidate.name === name);
    return file && fileLine(file);
  }
  /** A record is cleared: the prediction follows. @returns whether it was there. */
  clear(id: bigint): boolean {
    return this.#driver.clear(id) === "success";
  }
  holds(id: bigint): boolean {
    return storedRecords(this.content).some((stored) => stored.id === id);
  }

  /** What is left in it. @param died what the guest should have stored of its messages. */
  compareLeft(died: LastWords | undefined): Comparison {
    const kept = storedRecords(this.#model.bytes);
    const found = storedRecords(this.content);
    const isKept = ({ id }: { readonly id: bigint }) => kept.some((record) => record.id === id);
    const line = (record: (typeof kept)[number]) => `${storedLine(record)}, SHA-256 ${digest(record.bytes)}`;
    const fresh = found.filter((record) => !isKept(record));
    const predicted = kept.map(line);
    const actual = found.filter(isKept).map(line);
    if (!died) return { title: LEFT, lines: compareLines(predicted, [...actual, ...fresh.map(line)]) };
    // How many records the messages fill depends on all the kernel has said.
    for (let part = 1; part <= Math.max(1, fresh.length); part++) predicted.push(partLine(part, []));
    for (const [i, { id, record }] of fresh.entries()) actual.push(partLine(i + 1, this.#oddities(id, i + 1, record)));
    const words = fresh[0] ? lastWordsOf(fresh[0].record) : [];
    return { title: LEFT, lines: compareLines([...predicted, ...died], [...actual, ...words.slice(-died.length)]) };
  }

  /** How a record of messages differs from what the kernel's driver makes of them. */
  #oddities(id: bigint, part: number, record: CperRecord): string[] {
    const { timestamp = "" } = record.header;
    const seconds = Date.parse(`${timestamp.slice(0, 19)}Z`) / 1000;
    const { sectionLength = 0, sectionType } = record.sections[0]?.descriptor ?? {};
    const expected = parseRecord(messageRecord(id, new Uint8Array(sectionLength), seconds));
    // The driver marks the record; whether the messages are compressed depends on how the kernel was made.
    const own = { ...record.header, persistenceInformation: undefined };
    const wanted = { ...expected.header, persistenceInformation: undefined };
    const begins = textOf(record)?.split("\n", 1)[0];
    const now = Date.now() / 1000;
    return [
      ...differences(toJson(RecordHeader, wanted), toJson(RecordHeader, own)),
      ...differences(
        toJson(SectionDescriptor, { ...expected.sections[0]!.descriptor, ...(sectionType && { sectionType }) }),
        toJson(SectionDescriptor, record.sections[0]?.descriptor ?? {}),
      ),
      ...(/^(Panic|Oops)#[0-9]+ Part/.test(begins ?? "") && begins!.endsWith(`Part${part}`) ? [] : [`begins with ${JSON.stringify(begins)}`]),
      ...(seconds >= this.#started - CLOCKS && seconds <= now + CLOCKS ? [] : [`stored at ${timestamp}`]),
      ...(Number(id & 0xffff_ffffn) === part && Math.abs(Number(id >> 32n) - seconds) <= CLOCKS ? [] : [`identifier 0x${id.toString(16)}`]),
    ];
  }
}

const LEFT = "What is left in the error record store";
const partLine = (part: number, oddities: readonly string[]): string =>
  `Part${part} of the last messages, ${oddities.length === 0 ? "a record as Linux stores them" : `odd: ${oddities.join(", ")}`}`;
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex").slice(0, 16);

/** Members of one JSON object that another has otherwise. */
function differences(wanted: Json, own: Json): string[] {
  const [a, b] = [wanted, own] as { readonly [key: string]: Json }[];
  return [...new Set([...Object.keys(a!), ...Object.keys(b!)])].flatMap((name) =>
    JSON.stringify(a![name]) === JSON.stringify(b![name]) ? [] : [`${name} ${JSON.stringify(b![name])}`],
  );
}

const textOf = ({ sections: [first] }: CperRecord): string | undefined => first?.body && messageText(first.body);

/** What a record's messages say about errors and death, with levels. */
function lastWordsOf(record: CperRecord): string[] {
  const lines = textOf(record)?.split("\n") ?? [];
  return lines.flatMap((line) => {
    const message = readStoredLine(line);
    return message && isLastWord(message.text) ? [`<${message.level}>${message.text}`] : [];
  });
}

// ---- files ----

interface StoredFile {
  /** As the guest names it. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The files our guest printed. */
export function printedFiles(output: string): StoredFile[] {
  const out: StoredFile[] = [];
  let name: string | undefined;
  let digits = "";
  for (const line of consoleLines(output)) {
    if (line.startsWith(GUEST_SAYS.begin)) [name, digits] = [line.slice(GUEST_SAYS.begin.length), ""];
    else if (name !== undefined && line.startsWith(": ")) digits += line.slice(2);
    else if (name !== undefined && line === GUEST_SAYS.end + name) {
      out.push({ name, bytes: new Uint8Array(Buffer.from(digits, "base64")) });
      name = undefined;
    }
  }
  return out;
}

/** A file in one line, so that two lists can be compared. */
export const fileLine = ({ name, bytes }: StoredFile): string => `${name}: ${bytes.length} bytes, SHA-256 ${digest(bytes)}`;
