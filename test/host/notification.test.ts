import { describe, expect, test } from "vitest";
import { NOTIFICATION, type NotificationName } from "../../src/acpi/notification.ts";
import { NEED, type Need, NOTIFICATION_KIND, NotificationController, type Signal } from "../../src/host/notification.ts";

const ALL = Object.keys(NOTIFICATION) as NotificationName[];
const EVERYTHING = new Set(Object.keys(NEED) as Need[]);
const subject = (type: NotificationName) => ({ source: 3, type, vector: 41, pollInterval: 100 });

function setUp(type: NotificationName, has: ReadonlySet<Need> = EVERYTHING) {
  const signals: Signal[] = [];
  const masks = { interrupts: false, serror: false, events: false };
  return { signals, masks, controller: new NotificationController(type, { has, masks: () => masks, deliver: (signal) => signals.push(signal) }) };
}

test("all types of HEST have a controller", () => {
  expect(ALL.map((type) => (typeof NOTIFICATION[type] === "number" ? NOTIFICATION[type] : NOTIFICATION[type][0]))).toEqual([
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
  ]);
  expect(Object.keys(NOTIFICATION_KIND).sort()).toEqual([...ALL].sort());
});

describe.each(ALL)("%s", (type) => {
  const { kind } = setUp(type).controller;
  const now = kind.arrival === "now";

  test("arrives once, with its source and vector", () => {
    const { controller, signals } = setUp(type);
    const raised = controller.raise(subject(type), 1);
    expect(raised).toEqual(now ? { state: "delivered" } : { state: "pending", until: "nextPoll" });
    if (!now) expect(controller.release({ source: 3 })).toBe(1);
    expect(signals).toEqual([{ ...subject(type), vcpu: 1 }]);
    expect(controller.release()).toBe(0);
  });
  test.each(kind.needs)("does not arrive without %s, and says so", (need) => {
    const has = new Set(EVERYTHING);
    has.delete(need);
    const { controller, signals } = setUp(type, has);
    const without = need === "pollInterval" ? { ...subject(type), pollInterval: 0 } : subject(type);
    expect(controller.raise(without)).toEqual({ state: "undeliverable", missing: [need] });
    expect(signals).toEqual([]);
    expect(controller.counts).toMatchObject({ raised: 1, undeliverable: 1, delivered: 0 });
    expect(NEED[need]).toMatch(/^(a|an|ACPI|machine checks|the) /);
  });
  test("a vCPU that masks it holds it back, and gets it when it unmasks", () => {
    const { controller, signals, masks } = setUp(type);
    if (kind.maskedBy === "nothing") {
      Object.assign(masks, { interrupts: true, serror: true, events: true });
      expect(controller.raise(subject(type))).toEqual({ state: "delivered" });
      return;
    }
    masks[kind.maskedBy] = true;
    expect(controller.raise(subject(type)).state).toBe("pending");
    expect(controller.release()).toBe(0);
    expect(signals).toEqual([]);
    masks[kind.maskedBy] = false;
    expect(controller.release({ vcpu: 0 })).toBe(1);
    expect(signals).toHaveLength(1);
  });
  test("other masks do not matter", () => {
    const { controller, signals, masks } = setUp(type);
    Object.assign(masks, { interrupts: true, serror: true, events: true });
    if (kind.maskedBy !== "nothing") masks[kind.maskedBy] = false;
    controller.raise(subject(type));
    controller.release();
    expect(signals).toHaveLength(1);
  });
  test("what is raised again while it waits is counted, not lost", () => {
    const { controller, signals, masks } = setUp(type);
    if (kind.maskedBy !== "nothing") masks[kind.maskedBy] = true;
    for (let i = 0; i < 3; i++) controller.raise(subject(type));
    if (kind.maskedBy !== "nothing") {
      expect(controller.counts).toEqual({ raised: 3, delivered: 0, coalesced: 2, undeliverable: 0, pending: 1 });
      masks[kind.maskedBy] = false;
      controller.release();
    }
    const { raised, ...parts } = controller.counts;
    expect(Object.values(parts).reduce((sum, count) => sum + count, 0)).toBe(raised);
    expect(signals.length).toBe(controller.counts.delivered);
  });
  test("two sources wait for themselves", () => {
    const { controller, signals, masks } = setUp(type);
    if (kind.maskedBy !== "nothing") masks[kind.maskedBy] = true;
    controller.raise(subject(type));
    controller.raise({ ...subject(type), source: 4 });
    if (kind.maskedBy !== "nothing") masks[kind.maskedBy] = false;
    controller.release();
    expect(signals.map(({ source }) => source)).toEqual([3, 4]);
  });
});

test("an event number of zero cannot be registered", () => {
  expect(setUp("sdei").controller.raise({ ...subject("sdei"), vector: 0 })).toEqual({ state: "undeliverable", missing: ["eventRegistered"] });
});
