/** Sections the kernel hands to drivers, and when (Linux 7.2 drivers/acpi/apei/ghes.c behaviour). */
import type { ErrorDataEntry } from "../acpi/status-block.ts";

type Body = Readonly<Record<string, unknown>> & { readonly validation?: Readonly<Record<string, boolean>> };

/** Bytes of the CXL RAS capability the kernel insists on. */
const CXL_ERROR_LOG = 88;
/** A CXL event is longer than its frame and not longer than this. */
const CXL_EVENT = { least: 33, most: 144 };

const event = (body: Body): string | undefined => {
  const length = Number(body["length"] ?? 0);
  return body.validation?.["event"] && length >= CXL_EVENT.least && length <= CXL_EVENT.most ? "the CXL driver gets the event" : undefined;
};

/** What is done, by name of the section type; undefined where a condition is not met. */
const RECOVERIES: Readonly<Record<string, (body: Body, entry: ErrorDataEntry) => string | undefined>> = {
  pcie: (body, { header }) =>
    body.validation?.["deviceId"] && body.validation["aer"]
      ? `AER recovery is queued${header.flags?.reset ? ", as fatal because the section asks for a reset" : ""}`
      : undefined,
  cxlProtocol: (body) =>
    body.validation?.["agentAddress"] &&
    body.validation["errorLog"] &&
    body["errorLogLength"] === CXL_ERROR_LOG &&
    typeof body["agentType"] === "string" &&
    body["agentType"] !== "rchDownstreamPort"
      ? "the CXL driver gets the protocol error"
      : undefined,
  cxlGeneralMedia: event,
  cxlDram: event,
  cxlMemoryModule: event,
};

/** What the kernel sets in motion for a section that is neither memory nor ARM processor: undefined for a mere log entry. */
export function recoveryOf(entry: ErrorDataEntry): string | undefined {
  const { type, value } = entry.body ?? {};
  if (!type || value instanceof Uint8Array) return undefined;
  return RECOVERIES[type.name]?.(value as Body, entry);
}
