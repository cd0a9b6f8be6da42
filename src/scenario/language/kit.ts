/** Words for writing the JSON Schema of the scenario language, and its numbers. */
import { NOTIFICATION } from "../../acpi/notification.ts";

/** A number, or `"0x…"` for more than 32 bits. */
export type Number64 = string | number;
export type Schema = { readonly [key: string]: unknown };
export const object = (description: string, properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema => ({
  type: "object",
  description,
  properties,
  ...(required.length > 0 && { required }),
  additionalProperties: false,
});
export const integer = (description: string, most?: number): Schema => ({
  type: "integer",
  minimum: 0,
  ...(most !== undefined && { maximum: most }),
  description,
});
export const boolean = (description: string): Schema => ({ type: "boolean", description });
export const oneOf = (description: string, names: readonly string[]): Schema => ({ enum: names, description });
export const number64 = (description: string): Schema => ({
  anyOf: [
    { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    { type: "string", pattern: "^(0x[0-9a-fA-F]{1,16}|[0-9]{1,19})$" },
  ],
  description,
});
export const hex = (description: string): Schema => ({ type: "string", pattern: "^([0-9a-fA-F]{2})*$", description });
export const notification = (description: string) => oneOf(description, Object.keys(NOTIFICATION));
