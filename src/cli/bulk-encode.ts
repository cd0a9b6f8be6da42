/** `encode --ndjson`: lines back to the bytes they were made of. */
import { constants } from "node:buffer";
import { lineEncoder } from "../bulk/lines.ts";
import type { Documents } from "../input/document.ts";
import { EncodeError, JsonSink, UsageError } from "../layout/index.ts";
import { openSource, readSome } from "./bulk-input.ts";
import { linesTo } from "./bulk-output.ts";
import { EXIT, type Io } from "./io.ts";

/** Bytes read at a time, unless a line is longer, and bytes gathered before they are written. */
const READ = 1 << 20;
const FLUSH = 1 << 20;
const LINE_FEED = 0x0a;

/**
 * Encode lines of NDJSON, in order, to a file or to standard output.
 * @throws UsageError naming the file and line that cannot be encoded; nothing is then left under the name in `out`.
 */
export async function encodeBulk(files: readonly string[], documents: Documents, out: string | undefined, io: Io): Promise<number> {
  if (out === undefined && io.stdout.isTTY) throw new UsageError("standard output is a terminal: name a file with --out");
  const target = linesTo(out, io);
  const encode = lineEncoder(documents);
  const sink = new JsonSink(2 * FLUSH);
  let text = new Uint8Array(READ);
  const flush = async () => {
    await target.write({ bytes: sink.text(), records: 0, kept: 0, problems: [] });
    sink.at = 0;
  };
  let done = false;
  try {
    for (const file of files) {
      /** Lines taken so far. */
      let number = 0;
      const wrong = (problem: string) => new UsageError(`${file} line ${number + 1}: ${problem}`);
      const take = (from: number, to: number) => {
        try {
          encode(text, from, to, sink);
          number++;
        } catch (error) {
          throw error instanceof EncodeError || error instanceof UsageError ? wrong(error.message) : error;
        }
      };
      const source = await openSource(file, io, true);
      /** Bytes at the start of `text` that belong to a line whose end is yet to come. */
      let rest = 0;
      try {
        for (;;) {
          if (rest === text.length - 1) {
            if (rest > constants.MAX_STRING_LENGTH) throw wrong(`has more than ${constants.MAX_STRING_LENGTH} bytes`);
            const grown = new Uint8Array(text.length * 2);
            grown.set(text);
            text = grown;
          }
          // One byte is left for the line feed that the last line may lack.
          const read = await readSome(source, text.subarray(rest, text.length - 1));
          if (read === 0) break;
          const there = text.subarray(0, rest + read);
          let from = 0;
          for (let to = there.indexOf(LINE_FEED, rest); to >= 0; to = there.indexOf(LINE_FEED, from)) {
            take(from, to);
            from = to + 1;
            if (sink.at >= FLUSH) await flush();
          }
          text.copyWithin(0, from, there.length);
          rest = there.length - from;
        }
      } finally {
        source.close();
      }
      text[rest] = LINE_FEED;
      if (rest > 0) take(0, rest);
    }
    await flush();
    done = true;
  } finally {
    await target.close(done);
  }
  return EXIT.fine;
}
