/** Text files in the encodings people's tools write, without losing a byte. */

export const CHARSETS = ["utf-8", "utf-16le", "utf-16be", "latin-1"] as const;
export type Charset = (typeof CHARSETS)[number];

/** Text of a file; a byte order mark stays in the text as its first character. */
export interface Decoded {
  readonly charset: Charset;
  readonly text: string;
}

const CHUNK = 0x8000;
function units(input: Uint8Array, width: 1 | 2, little: boolean): string {
  const out: string[] = [];
  const codes: number[] = [];
  for (let i = 0; i + width <= input.length; i += width) {
    codes.push(width === 1 ? input[i]! : little ? input[i]! | (input[i + 1]! << 8) : (input[i]! << 8) | input[i + 1]!);
    if (codes.length === CHUNK) out.push(String.fromCharCode(...codes.splice(0)));
  }
  return out.join("") + String.fromCharCode(...codes);
}

const isAscii = (byte: number) => byte >= 0x09 && byte < 0x7f;
/** UTF-16 by its byte order mark, or by the zero byte of a first ASCII character. */
function wideOrder(input: Uint8Array): "utf-16le" | "utf-16be" | undefined {
  if (input.length % 2 !== 0 || input.length < 2) return undefined;
  const [first, second] = input as unknown as [number, number];
  if ((first === 0xff && second === 0xfe) || (isAscii(first) && second === 0)) return "utf-16le";
  if ((first === 0xfe && second === 0xff) || (first === 0 && isAscii(second))) return "utf-16be";
  return undefined;
}

/** Text of some bytes: UTF-16 where they look it, UTF-8 where it is valid, else Latin-1, which loses nothing. */
export function textOf(input: Uint8Array): Decoded {
  const wide = wideOrder(input);
  if (wide) return { charset: wide, text: units(input, 2, wide === "utf-16le") };
  try {
    return { charset: "utf-8", text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(input) };
  } catch {
    return { charset: "latin-1", text: units(input, 1, true) };
  }
}

/** The inverse of `textOf`. Characters that Latin-1 does not have lose their high byte. */
export function bytesOf(text: string, charset: Charset): Uint8Array {
  if (charset === "utf-8") return new TextEncoder().encode(text);
  const width = charset === "latin-1" ? 1 : 2;
  const out = new Uint8Array(text.length * width);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (width === 1) out[i] = code;
    else {
      out[i * 2] = charset === "utf-16le" ? code & 255 : code >> 8;
      out[i * 2 + 1] = charset === "utf-16le" ? code >> 8 : code & 255;
    }
  }
  return out;
}

/** Whether bytes can be text at all: among the first there is no control character but tabs and line ends. */
export function looksLikeText(input: Uint8Array): boolean {
  const wide = wideOrder(input) !== undefined;
  const end = Math.min(input.length, 1024);
  for (let i = 0; i < end; i++) if (input[i]! < 0x09 || (input[i]! > 0x0d && input[i]! < 0x20)) if (!wide || input[i] !== 0) return false;
  return end > 0;
}
