/** Long runs of one byte in JSON: `{ "byte": 255, "count": 3126 }` instead of as many digits. */
import { bytesToHex, EncodeError, hexBytes, hexToBytes, type Json, type Schema } from "../layout/index.ts";
import { isObject } from "./content.ts";

/** Shorter runs stay hex digits. */
const SHORTEST = 16;
/** Bytes one run may stand for: 1 GiB. */
const LONGEST = 2 ** 30;

/** The one byte that all of `input` is, if it is one. */
export const onlyByte = (input: Uint8Array): number | undefined => {
  for (let i = 1; i < input.length; i++) if (input[i] !== input[0]) return undefined;
  return input[0];
};

export function fillerToJson(input: Uint8Array): Json {
  const byte = input.length >= SHORTEST ? onlyByte(input) : undefined;
  return byte === undefined ? bytesToHex(input) : { byte, count: input.length };
}

export const fillerSchema: Schema = {
  description: "Bytes that belong to nothing: hex digits, or one byte and how often it stands there",
  anyOf: [
    hexBytes(),
    {
      type: "object",
      required: ["byte", "count"],
      additionalProperties: false,
      properties: { byte: { type: "integer", minimum: 0, maximum: 255 }, count: { type: "integer", minimum: 0, maximum: LONGEST } },
    },
  ],
};

/** @throws EncodeError */
export function fillerFromJson(json: Json | undefined): Uint8Array {
  if (json === undefined) return new Uint8Array(0);
  if (isObject(json)) {
    const { byte, count } = json;
    if (!Number.isInteger(byte) || (byte as number) < 0 || (byte as number) > 255) throw new EncodeError("byte", "is not a number from 0 to 255");
    if (!Number.isInteger(count) || (count as number) < 0 || (count as number) > LONGEST)
      throw new EncodeError("count", `is not a number from 0 to ${LONGEST}`);
    return new Uint8Array(count as number).fill(byte as number);
  }
  const bytes = typeof json === "string" ? hexToBytes(json) : undefined;
  if (!bytes) throw new EncodeError("", "is neither hex digits nor a byte and a count");
  return bytes;
}
