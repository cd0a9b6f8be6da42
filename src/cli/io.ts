/** The process as commands see it, so that tests can run them without one. */
import type { Args, Arguments } from "./arguments.ts";

export interface Output {
  /** `done` is called when the chunk has been handed on and its memory is free again. */
  write(chunk: string | Uint8Array, done?: (error?: Error | null) => void): boolean;
  readonly isTTY?: boolean | undefined;
}
export interface Io {
  readonly stdin: AsyncIterable<Uint8Array>;
  /** The descriptor behind `stdin`, for those who read it without a stream; to be left alone once `stdin` has been asked for. */
  readonly stdinFd?: number;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Load a module by its URL: code that is no part of the package. */
  importModule(url: string): Promise<object>;
}

/** Exit codes of every command. */
export const EXIT = {
  /** Done, nothing odd. */
  fine: 0,
  /** Done, with findings or differences. */
  findings: 1,
  /** Not done: bad options, unreadable files, input that cannot be used. */
  failed: 2,
} as const;

/** One subcommand, in a module of its own that is loaded when it is asked for. */
export interface Command {
  /** Declare options and positionals. Addresses are `type: "string"`: a number would lose bits above 2^53. */
  builder(args: Arguments): Arguments;
  /** Returns an exit code; throws UsageError, DecodeError or EncodeError for what cannot be done. */
  handler(args: Args, io: Io): Promise<number>;
}
