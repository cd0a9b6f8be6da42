/** Errors a guest injects through EINJ: what it asks for, how that is answered, and the record that comes of it. */
import type { EinjResult, InjectionRequest } from "../guest/einj.ts";
import type { InjectedError } from "../host/einj-device.ts";
import { memoryRecord } from "../host/memory-record.ts";
import type { MadeRecord, MonitorPolicy } from "../host/monitor.ts";
import { hexNumber } from "../layout/index.ts";
import type { Moment } from "./schema.ts";

export type InjectionEvent = NonNullable<Moment["inject"]>;

/** An error at an address is one of its page unless a mask says otherwise. */
const WHOLE_PAGE = 0xffff_ffff_ffff_f000n;

/** What the guest's driver is asked for. */
export const injectionRequest = ({ type, address, mask }: InjectionEvent): InjectionRequest => ({
  type,
  ...(address !== undefined && { address: BigInt(address), mask: WHOLE_PAGE }),
  ...(mask !== undefined && { mask: BigInt(mask) }),
});

export const injectionWords = ({ type, address }: InjectionEvent): string =>
  `asks EINJ for ${type}${address === undefined ? "" : ` at ${hexNumber(BigInt(address))}`}`;

/** Why nothing was injected. */
export const refusalWords = (result: EinjResult): string => REFUSALS[result] ?? `EINJ answers: ${result}`;
const REFUSALS: { readonly [K in EinjResult]?: string } = {
  notOffered: "the kernel refuses: EINJ does not offer this type",
  noMemoryPage: "the kernel refuses: a memory error needs the address of a page of memory, and a mask of no more than that page",
  timedOut: "EINJ does not answer",
};

export const triggerWords = ({ type }: InjectedError): string => `the trigger was pulled: ${type}`;

/** Position of the lowest set bit. */
const lowestBit = (mask: bigint): number => (mask & -mask).toString(2).length - 1;

/** The error the monitor handles when the trigger was pulled: a record of what was asked for. */
export function injectedError({ type, address, mask }: InjectedError, policy: MonitorPolicy): MadeRecord {
  const severity = type.endsWith("NonFatal") ? "recoverable" : type.endsWith("Fatal") ? "fatal" : "corrected";
  const block = memoryRecord({
    physicalAddress: address,
    addressLsb: mask === undefined || mask === 0n ? undefined : lowestBit(mask),
    severity,
    errorType: severity === "corrected" ? "singleBitEcc" : "multiBitEcc",
    fruText: "EINJ",
  });
  return { kind: "record", block, notification: policy.actionOptional === "none" ? undefined : policy.actionOptional };
}
