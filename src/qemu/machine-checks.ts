/**
 * Machine checks on a real x86 machine: QEMU's monitor puts into the processor's banks what a monitor gives its guest,
 * and the kernel's reaction stands beside the prediction.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { machineCheckReaction } from "../guest/report/machine-check.ts";
import { type BankWrite, finishMachineCheck, injectMachineCheck, type MachineCheckState, machineCheckState, type Vendor } from "../host/machine-check.ts";
import type { Decision } from "../host/monitor.ts";
import { hexNumber } from "../layout/index.ts";
import { type Say, watchDeath } from "./follower.ts";
import { type Comparison, compareUnordered, isAftermath, isLastWord, plainLines } from "./kernel-log.ts";
import type { Death } from "./last-words.ts";
import { ConnectionLost } from "./lines.ts";
import type { RealMachine } from "./machine.ts";
import { type ProcessorState, processorState, vendorOf } from "./processor.ts";

export type MachineCheck = NonNullable<Decision["machineCheck"]>;

export interface GivenMachineCheck {
  readonly check: Comparison;
  /** The guest was reset. */
  readonly ended: boolean;
  /** What the guest should have died of. */
  readonly death?: Death;
}

/** Looks at the processor until it does what it should, and milliseconds between two. */
const LOOKS = 100;
const BETWEEN = 30;
/** Milliseconds until the kernel has said all, until a reset machine has ended, and that silence is watched. */
const REACTION = 15_000;
const RESET = 15_000;
const SILENCE = 1_000;
const SETTLE = 300;
/** A program of the guest that touches memory, for a while. */
const PROGRAM = "sh -c \"timeout 3 sh -c 'while :; do :; done'\" 2>/dev/null";
const RESET_LINE = "the guest is reset";
const RECOVERED = /^Memory failure: .*: (Recovered|Delayed)$/;

export class MachineChecks {
  readonly #machine: RealMachine;
  /** Whether programs of the guest can be started. */
  readonly #shell: boolean;
  readonly #say: Say;
  readonly #state: MachineCheckState = machineCheckState();

  constructor(machine: RealMachine, shell: boolean, say: Say) {
    this.#machine = machine;
    this.#shell = shell;
    this.#say = say;
  }

  /** Give one to the machine's only processor. @returns why that cannot be, where it cannot. */
  async give({ code, address }: MachineCheck): Promise<GivenMachineCheck | string> {
    const vendor = await vendorOf(this.#machine);
    if (!vendor) return "of the banks of this processor's vendor nothing is known";
    const mark = this.#machine.output.length;
    const now = await this.#stop(code === "actionRequired" && this.#shell);
    this.#state.enabled = now.takesMachineChecks;
    const { outcome, messages, writes } = injectMachineCheck([this.#state], 0, { vendor, code, address });
    const write = writes[0] ?? bankWrite(vendor, code, address);
    const said = await this.#machine.qmp.human(
      `mce 0 ${write.bank} ${hexNumber(write.status)} ${hexNumber(write.globalStatus)} ${hexNumber(address)} ${hexNumber(write.misc ?? 0n)}`,
    );
    await this.#machine.qmp.execute("cont").catch((error: unknown) => {
      // A machine that is reset ends.
      if (!(error instanceof ConnectionLost) || outcome !== "reset") throw error;
    });
    const answers = said.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
    for (const message of answers) this.#say("monitor", undefined, "message", message, true);
    this.#say(
      "monitor",
      "guest",
      "delivered",
      `machine check: bank ${write.bank} STATUS ${hexNumber(write.status)}, MCG_STATUS ${hexNumber(write.globalStatus)}, ADDR ${hexNumber(address)}`,
    );
    const title = `Machine check, ${code === "actionRequired" ? "action required" : "action optional"}, for ${hexNumber(address)}`;
    if (outcome !== "injected") {
      if (outcome === "reset") await Promise.race([this.#machine.ended, sleep(RESET)]);
      const lines = compareUnordered([...messages, ...(outcome === "reset" ? [RESET_LINE] : [])], [...answers, ...(this.#machine.running ? [] : [RESET_LINE])]);
      if (outcome === "reset") this.#say("guest", undefined, "reset", RESET_LINE, true);
      return { check: { title, lines }, ended: outcome === "reset" };
    }
    return { ...(await this.#react(write, now, vendor, mark, title)), ended: false };
  }

  async #react(
    write: BankWrite,
    { codeSegment, instructionPointer }: ProcessorState,
    vendor: Vendor,
    mark: number,
    title: string,
  ): Promise<Omit<GivenMachineCheck, "ended">> {
    const { bank, status, globalStatus, address = 0n, misc = 0n } = write;
    const taken = { vendor, cpu: 0, bank, status, globalStatus, address, misc, codeSegment, instructionPointer };
    const said = () => plainLines(this.#machine.output.slice(mark)).filter((line) => isAftermath(line) || isLastWord(line));
    const predicted = () =>
      machineCheckReaction(
        taken,
        said().some((line) => RECOVERED.test(line)),
      );
    const { death } = predicted();
    if (death !== undefined) {
      await watchDeath(this.#machine, mark, this.#say);
      return {
        check: { title, lines: compareUnordered([...predicted().lines, death], said()) },
        death: { why: "Panic", words: [`<0>${death}`], machineCheck: write },
      };
    }
    if (predicted().lines.length === 0) await sleep(SILENCE);
    else {
      await this.#machine.poll(() => (said().length >= predicted().lines.length ? true : undefined), REACTION);
      await sleep(SETTLE);
      finishMachineCheck(this.#state);
    }
    return { check: { title, lines: compareUnordered(predicted().lines, said()) } };
  }

  /** Stop the processor, in a program where one should have met the error. */
  async #stop(inProgram: boolean): Promise<ProcessorState> {
    const { qmp } = this.#machine;
    if (inProgram) this.#machine.type(PROGRAM);
    for (let looks = 1; ; looks++) {
      await qmp.execute("stop");
      const now = await processorState(this.#machine);
      // A processor that is halted waits in the kernel, where nothing is in the middle of anything.
      if (looks === LOOKS || !now.takesMachineChecks || (inProgram ? now.privilege === 3 : now.halted)) return now;
      await qmp.execute("cont");
      await sleep(BETWEEN);
    }
  }
}

/** What would have been put into the bank of a processor that takes it. */
const bankWrite = (vendor: Vendor, code: MachineCheck["code"], address: bigint): BankWrite =>
  injectMachineCheck([machineCheckState()], 0, { vendor, code, address }).writes[0]!;
