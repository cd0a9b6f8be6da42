/** Throwing a record at a QEMU that runs already, through QMP alone. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type BLOCK_SEVERITY, buildErrorStatusBlock, type ErrorDataEntryInput, ErrorStatusBlockHeader } from "../acpi/status-block.ts";
import type { CperRecord } from "../cper/record-codec.ts";
import { encodeSectionBody, UsageError } from "../layout/index.ts";
import { VIRT_RAM_BASE } from "../machine/machines.ts";
import { fromLittleEndian } from "../machine/memory.ts";
import { heldFolder } from "./guardian.ts";
import { ConnectionLost } from "./lines.ts";
import { isAtLeast, type QmpClient, QmpError, versionText } from "./qmp.ts";

/** Bytes of the block QEMU gives its sources. */
export const MOST_INJECTED = 1024;
const COMMAND = "inject-ghes-v2-error";
const FIRST_VERSION = { major: 10, minor: 2 } as const;

const SEVERITIES = ["recoverable", "fatal", "corrected", "none"] as const satisfies readonly (keyof typeof BLOCK_SEVERITY)[];
const REVISION = 0x0300;

/** The status block that says what a record says: a data entry for each section. */
export function blockOfRecord({ header, sections }: CperRecord): Uint8Array {
  const severityOf = (severity: unknown): keyof typeof BLOCK_SEVERITY =>
    typeof severity === "number" ? (SEVERITIES[severity] ?? "none") : (SEVERITIES.find((name) => name === severity) ?? "none");
  const entries = sections.map(({ descriptor, body }): ErrorDataEntryInput => {
    const { fruId, fruText, flags, severity, sectionType, validation } = descriptor;
    return {
      header: {
        sectionType,
        errorSeverity: severityOf(severity),
        revision: REVISION,
        ...(flags && { flags: flags as never }),
        ...(validation?.fruId && fruId !== undefined && { fruId }),
        ...(validation?.fruText && fruText !== undefined && { fruText }),
        ...(header.validation?.timestamp && header.timestamp !== undefined && { timestamp: header.timestamp as never }),
      },
      body: body ? encodeSectionBody(body) : new Uint8Array(0),
    };
  });
  return buildErrorStatusBlock(severityOf(header.severity), entries);
}

export interface Injection {
  /** Version of the QEMU. */
  readonly qemu: string;
  /** `yes`, `no` within the time, or `unknown` when the register could not be found. */
  readonly acknowledged: "yes" | "no" | "unknown";
  /** Milliseconds until the acknowledgement was seen. */
  readonly after?: number;
  /** Why it is unknown. */
  readonly reason?: string;
}

/**
 * Inject an error status block.
 * @param milliseconds to wait for the guest's acknowledgement; 0 does not look for it.
 * @throws UsageError when this QEMU cannot, or the guest still owes the acknowledgement of an earlier record.
 */
export async function inject(qmp: QmpClient, block: Uint8Array, milliseconds: number): Promise<Injection> {
  const qemu = versionText(qmp.version);
  if (block.length > MOST_INJECTED) throw new UsageError(`the status block has ${block.length} bytes, QEMU's sources hold ${MOST_INJECTED}`);
  if (block.length <= FIRST_ENTRY) throw new UsageError(`a status block of ${block.length} bytes says nothing`);
  if (!isAtLeast(qmp.version, FIRST_VERSION.major, FIRST_VERSION.minor))
    throw new UsageError(`${COMMAND} came with QEMU ${FIRST_VERSION.major}.${FIRST_VERSION.minor}; this is ${qemu}`);
  await needSource(qmp);
  try {
    await qmp.execute(COMMAND, { cper: Buffer.from(block).toString("base64") });
  } catch (error) {
    if (!(error instanceof QmpError)) throw error;
    // x86 builds know the command since QEMU 11, and refuse it.
    if (error.kind === "CommandNotFound" || error.message.includes("not compiled in"))
      throw new UsageError(`this QEMU ${qemu} has no ${COMMAND}: it is only there for arm machines`);
    throw new UsageError(error.message);
  }
  if (milliseconds === 0) return { qemu, acknowledged: "unknown", reason: "not asked for" };
  const start = Date.now();
  try {
    const register = await findAcknowledge(qmp, block);
    if (typeof register === "string") return { qemu, acknowledged: "unknown", reason: register };
    for (;;) {
      if ((await readWord(qmp, register)) !== 0n) return { qemu, acknowledged: "yes", after: Date.now() - start };
      if (Date.now() - start >= milliseconds) return { qemu, acknowledged: "no" };
      await sleep(LOOK);
    }
  } catch (error) {
    // The record is in the guest; a fatal one ends machines that do not start again.
    if (error instanceof ConnectionLost) return { qemu, acknowledged: "unknown", reason: error.message };
    throw error;
  }
}
const LOOK = 100;

/**
 * QEMU takes a record that no source of its machine can bring to the guest, and says nothing: ask the machine first.
 * @throws UsageError when it has no such source.
 */
async function needSource(qmp: QmpClient): Promise<void> {
  const ask = (property: string): Promise<unknown> =>
    qmp.execute("qom-get", { path: "/machine", property }).catch((error: unknown) => {
      if (error instanceof QmpError) return undefined;
      throw error;
    });
  const type = await ask("type");
  if (typeof type !== "string") return;
  const name = type.replace(/-machine$/, "");
  const version = /^virt-([0-9]+)\.([0-9]+)$/.exec(name);
  if (version && !isAtLeast({ major: Number(version[1]), minor: Number(version[2]), micro: 0 }, FIRST_VERSION.major, FIRST_VERSION.minor))
    throw new UsageError(
      `machine type ${name} has no error source for injected records: virt-${FIRST_VERSION.major}.${FIRST_VERSION.minor} or newer is needed`,
    );
  if (version && (await ask("ras")) === false) throw new UsageError("the machine has no error sources: start QEMU with -machine virt,ras=on");
}

/** Bytes of memory looked through at once. */
const CHUNK = 64n << 20n;
/** EDK2 keeps what it gives the operating system at the top of the first 128 MiB. */
const LIKELY_END = VIRT_RAM_BASE + (128n << 20n);
const POINTER = 8;
/** Sources of a machine that can inject: their registers come before the blocks. */
const SOURCES = 2;
/** Which of them takes injected records. */
const INJECTED = 1;

const FIRST_ENTRY = ErrorStatusBlockHeader.size;

/** Parts of memory, the likely ones first; they overlap, so that a record on a border is found whole. */
function* partsOf(size: bigint): Generator<{ readonly start: bigint; readonly length: number }> {
  const top = VIRT_RAM_BASE + size;
  const likely = top < LIKELY_END ? top : LIKELY_END;
  for (const [low, high] of [
    [VIRT_RAM_BASE, likely],
    [likely, top],
  ] as const)
    for (let end = high; end > low; end -= CHUNK) {
      const least = end - CHUNK - BigInt(4 * MOST_INJECTED);
      const start = least > VIRT_RAM_BASE ? least : VIRT_RAM_BASE;
      yield { start, length: Number(end - start) };
    }
}

/**
 * QMP does not tell where the sources are. The record just written is looked for in guest memory instead, and taken
 * for the right one when the pointers at the start of `etc/hardware_errors` lead to it.
 * @returns the address of the acknowledge register, or why it is not known.
 */
async function findAcknowledge(qmp: QmpClient, block: Uint8Array): Promise<bigint | string> {
  const { "base-memory": size } = (await qmp.execute("query-memory-size-summary")) as { "base-memory": number };
  const held = await heldFolder();
  try {
    const path = join(held.folder, "memory");
    // The guest clears the block status when it has read the record; a pattern that begins with zeros takes long to find.
    const needle = Buffer.from(block.subarray(FIRST_ENTRY));
    for (const { start, length } of partsOf(BigInt(size))) {
      const refused = await qmp.execute("pmemsave", { val: Number(start), size: length, filename: path }).then(
        () => undefined,
        (error: unknown) => {
          if (error instanceof QmpError) return error.message;
          throw error;
        },
      );
      if (refused !== undefined) return `QEMU does not give its memory: ${refused}`;
      const bytes = await readFile(path).catch(() => undefined);
      if (!bytes) return "QEMU's files cannot be read from here";
      for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) {
        const address = start + BigInt(at - FIRST_ENTRY);
        const base = address - BigInt(2 * POINTER * SOURCES + INJECTED * MOST_INJECTED);
        if (base >= start && pointerAt(bytes, Number(base - start) + POINTER * INJECTED) === address) return base + BigInt(POINTER * (SOURCES + INJECTED));
      }
    }
    return "the record is nowhere in guest memory: its firmware has not run yet";
  } finally {
    await held.release();
  }
}
const pointerAt = (bytes: Uint8Array, at: number): bigint => fromLittleEndian(bytes.subarray(at, at + POINTER));

async function readWord(qmp: QmpClient, address: bigint): Promise<bigint> {
  const answer = await qmp.human(`xp /1gx 0x${address.toString(16)}`);
  const value = /: (0x[0-9a-f]+)/.exec(answer)?.[1];
  if (value === undefined) throw new UsageError(`QEMU's monitor does not show memory: ${answer.trim()}`);
  return BigInt(value);
}
