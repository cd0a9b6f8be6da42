/** Input bytes that do not hold what a layout requires. */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
  readonly path: string;
  /** Byte offset from the start of the input. */
  readonly offset: number;

  constructor(path: string, offset: number, message: string) {
    super(`${path} at 0x${offset.toString(16)}: ${message}`);
    this.path = path;
    this.offset = offset;
  }
}

/** A value that cannot be stored in the field it was given for. */
export class EncodeError extends Error {
  override readonly name = "EncodeError";
  /** Field path such as `hest.sources[2].notification.type`. */
  readonly path: string;
  /** What is wrong, without the path. */
  readonly problem: string;

  constructor(path: string, problem: string) {
    super(`${path}: ${problem}`);
    this.path = path;
    this.problem = problem;
  }

  /** The same problem seen from one level further out: `outer` is a field name or `[index]`. */
  within(outer: string): EncodeError {
    const joint = this.path === "" || this.path.startsWith("[") ? "" : ".";
    return new EncodeError(outer + joint + this.path, this.problem);
  }
}

/** Run `body` with `path` put before the path of any EncodeError it throws. */
export function within<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw error instanceof EncodeError ? error.within(path) : error;
  }
}

/** A request that makes no sense: bad options, unreadable files, impossible combinations. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Something odd that was met while reading; the data itself is always kept. */
export interface Finding {
  readonly path: string;
  /** Byte offset from the start of the input. */
  readonly offset: number;
  readonly message: string;
}
