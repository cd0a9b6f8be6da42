import { describe, expect, test } from "vitest";
import { qemuMemoryRecord } from "../../src/host/memory-record.ts";
import { decide, type HostError, type MonitorPolicy, type MonitorView, NO_PHYSICAL_ADDRESS, PRESETS } from "../../src/host/monitor.ts";
import { hex } from "../support/hex.ts";

const view: MonitorView = {
  ras: true,
  handedOff: true,
  sources: [
    { id: 0, notification: "sea" },
    { id: 1, notification: "gsiv" },
    { id: 2, notification: "sei" },
    { id: 3, notification: "polled" },
  ],
  interruptsMasked: false,
};
const ar: HostError = { kind: "sigbus", code: "actionRequired", address: { physical: 0x4000_1000n } };
const ao: HostError = { ...ar, code: "actionOptional" };
const lean: MonitorPolicy = PRESETS["kvmtool-like"];

describe("QEMU's decisions", () => {
  test.each(["qemu-7.2", "qemu-10.2", "qemu-11.0"] as const)("%s: required is SEA with QEMU's bytes, optional only marks the page", (name) => {
    const required = decide(PRESETS[name], ar, view);
    expect(required).toMatchObject({ record: { source: 0, block: qemuMemoryRecord(0x4000_1000n) }, notification: "sea", poisoned: 0x4000_1000n });
    expect(required.faultAddress).toBeUndefined();
    const optional = decide(PRESETS[name], ao, view);
    expect(optional.record).toBeUndefined();
    expect(optional.poisoned).toBe(0x4000_1000n);
    expect(optional.end).toBeUndefined();
  });
  test.each<[string, Partial<MonitorView>, Partial<Extract<HostError, { kind: "sigbus" }>>]>([
    ["no RAS features", { ras: false }, {}],
    ["no address from the firmware", { handedOff: false }, {}],
    ["not guest memory", {}, { inRam: false }],
  ])("%s: required ends the machine in QEMU's words, optional does not", (_name, less, more) => {
    const required = decide(PRESETS["qemu-10.2"], { ...ar, ...more } as HostError, { ...view, ...less });
    const foreign = more.inRam === false ? ["Hardware memory error for memory used by QEMU itself instead of guest system!"] : [];
    expect(required).toMatchObject({ end: "exit", messages: [...foreign, "Hardware memory error!"] });
    expect(required.record).toBeUndefined();
    const optional = decide(PRESETS["qemu-10.2"], { ...ao, ...more } as HostError, { ...view, ...less });
    expect(optional.end).toBeUndefined();
    expect(optional.record).toBeUndefined();
    expect(optional.messages).toEqual(foreign);
  });
  test("x86 gets machine checks", () => {
    expect(decide(PRESETS["qemu-10.2"], ar, { ...view, ras: false, architecture: "x86" })).toMatchObject({
      machineCheck: { code: "actionRequired", address: 0x4000_1000n },
    });
  });
});

describe("which notification", () => {
  const notification = (policy: Partial<MonitorPolicy>, error: HostError, more: Partial<MonitorView> = {}) =>
    decide({ ...lean, ...policy }, error, { ...view, ...more }).notification;
  test("required: SEA; optional: an interrupt", () => {
    expect(notification({}, ar)).toBe("sea");
    expect(notification({}, ao)).toBe("gsiv");
  });
  test("required by interrupt, unless the vCPU masks them", () => {
    expect(notification({ actionRequired: "gsiv" }, ar)).toBe("gsiv");
    expect(notification({ actionRequired: "gsiv" }, ar, { interruptsMasked: true })).toBe("sea");
    expect(notification({}, ao, { interruptsMasked: true })).toBe("gsiv");
  });
  test("optional by SEI or polling", () => {
    expect(notification({ actionOptional: "sei" }, ao)).toBe("sei");
    expect(notification({ actionOptional: "polled" }, ao)).toBe("polled");
  });
  test("no virtual SError from registers that are not the host's own", () => {
    const decision = decide({ ...lean, actionOptional: "sei", ownsHypervisor: false }, ao, view);
    expect(decision.record).toBeUndefined();
    expect(decision.messages[0]).toContain("HCR_EL2");
  });
  test("no source of that kind: said, and the end for what is required", () => {
    const bare = { ...view, sources: [{ id: 5, notification: "polled" as const }] };
    expect(decide(lean, ar, bare)).toMatchObject({ messages: ["no error source notifies by sea"], end: "exit" });
    expect(decide(lean, ao, bare).end).toBeUndefined();
  });
});

describe("what is known is said, and nothing else", () => {
  const cases: readonly (readonly [string, HostError, string, string, bigint | undefined, boolean])[] = [
    // name, error, validation bits, physical address, FAR, whether the guest is left without a page
    [
      "both addresses",
      { kind: "seaExit", address: { physical: 0x4000_1000n, virtual: 0xffff_0040n } },
      "0200000000000000",
      "0010004000000000",
      0xffff_0040n,
      false,
    ],
    [
      "a page",
      { kind: "sigbus", code: "actionRequired", address: { physical: 0x4000_1abcn, lsb: 12 } },
      "0600000000000000",
      "0010004000000000",
      undefined,
      false,
    ],
    [
      "one address without a granularity, which is one page",
      { kind: "sigbus", code: "actionRequired", address: { physical: 0x4000_1abcn } },
      "0600000000000000",
      "0010004000000000",
      undefined,
      false,
    ],
    ["only virtual", { kind: "seaExit", address: { virtual: 0xffff_0040n } }, "0000000000000000", "0000000000000000", 0xffff_0040n, true],
    ["nothing", { kind: "seaExit", address: {} }, "0000000000000000", "0000000000000000", undefined, true],
  ];
  test.each(cases)("%s", (_name, error, validation, address, far, lost) => {
    const { record, faultAddress, consequences } = decide(lean, error, view);
    const body = Buffer.from(record!.block.subarray(92));
    expect(body.subarray(0, 8).toString("hex")).toBe(validation);
    expect(body.subarray(16, 24).toString("hex")).toBe(address);
    expect(faultAddress).toBe(far);
    expect(consequences.includes(NO_PHYSICAL_ADDRESS)).toBe(lost);
  });
  test("by interrupt a virtual address has nowhere to go", () => {
    const { faultAddress, consequences } = decide(lean, { kind: "sigbus", code: "actionOptional", address: { virtual: 0x1000n } }, view);
    expect(faultAddress).toBeUndefined();
    expect(consequences).toContain("the virtual address 0x1000 does not reach the guest: a memory section has no field for it");
  });
});

test("beyond what QEMU does its presets say so", () => {
  const said = (error: HostError) => decide(PRESETS["qemu-10.2"], error, view).consequences[0];
  expect(said({ kind: "seaExit", address: { physical: 0x4000_1000n } })).toBe("no QEMU uses this exit: what follows is what its policy for SIGBUS comes to");
  expect(said({ kind: "sigbus", code: "actionRequired", address: { virtual: 0x1000n } })).toBe(
    "a SIGBUS of QEMU's own always has an address: what follows is what its policy comes to",
  );
  expect(said({ kind: "sigbus", code: "actionRequired", address: { physical: 0x4000_1000n } })).toBeUndefined();
});

describe("a virtual address alone", () => {
  const exit: HostError = { kind: "seaExit", address: { virtual: 0xffff_8123_0040n } };
  test("no preset claims more in the record than a memory error somewhere", () => {
    for (const preset of Object.values(PRESETS)) expect(decide(preset, exit, view).record?.block).toHaveLength(172);
  });
  test("by policy a second section says it, and nothing else", () => {
    const { record, consequences } = decide({ ...lean, virtualAddressSection: true }, exit, view);
    expect(record!.block.subarray(172)).toEqual(hex`
      16 3d 9e e1 11 bc e4 11 9c aa c2 05 1d 5d 46 b0  # ARM processor error
      00 00 00 00  00 03 00 00                         # recoverable, revision 3.0, no FRU
      48 00 00 00                                      # 72 bytes
      00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # FRU id
      00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # FRU text
      00 00 00 00 00 00 00 00                          # time
      00 00 00 00  01 00 00 00  48 00 00 00            # nothing valid; one error information, no context
      00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
      00 20 08 00  00 00 00 00                         # 32 bytes, virtual address valid, no kind
      00 00 00 00 00 00 00 00
      40 00 23 81 ff ff 00 00                          # virtual address
      00 00 00 00 00 00 00 00`);
    expect(consequences.join()).toContain("0xffff81230040 reaches the guest in FAR_EL1 and in an ARM processor error section");
  });
});
