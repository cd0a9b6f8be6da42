/** The error record store of a real machine: its device, and what is predicted of it beside what is found. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ErstDriver } from "../guest/erst.ts";
import { ERST_STARTS, mountPstore, type PstoreContents } from "../guest/pstore.ts";
import type { KernelVersion } from "../guest/report/words.ts";
import { StoreDevice, storedLine, storedRecords } from "../scenario/error-store.ts";
import { heldFolder } from "./guardian.ts";
import { GUEST_SAYS, INJECTION_FILES } from "./initramfs.ts";
import { type Comparison, compareLines, consoleLines, isStoreLine, plainLines } from "./kernel-log.ts";
import { compareDeaths, type Death } from "./last-words.ts";
import { optionPath } from "./platform.ts";

/** Any address: the model's device is asked by itself. */
const MODEL_BASE = 0x1000_0000n;
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

  /** What is left in it. @param deaths what the guest should have stored its messages over. @param console all it printed. */
  compareLeft(deaths: readonly Death[], console: string): Comparison {
    const kept = storedRecords(this.#model.bytes);
    const found = storedRecords(this.content);
    const isKept = ({ id }: { readonly id: bigint }) => kept.some((record) => record.id === id);
    const line = (record: (typeof kept)[number]) => `${storedLine(record)}, SHA-256 ${digest(record.bytes)}`;
    const fresh = found.filter((record) => !isKept(record));
    const stays = found.filter(isKept).map(line);
    if (deaths.length === 0) return { title: LEFT, lines: compareLines(kept.map(line), [...stays, ...fresh.map(line)]) };
    // Its own header takes the place of a record.
    const full = (found.length + 1) * this.#driver.rangeLength >= this.#model.bytes.length;
    const { predicted, actual } = compareDeaths(fresh, deaths, console, this.#started, full);
    return { title: LEFT, lines: compareLines([...kept.map(line), ...predicted], [...stays, ...actual]) };
  }
}

const LEFT = "What is left in the error record store";
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex").slice(0, 16);

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
