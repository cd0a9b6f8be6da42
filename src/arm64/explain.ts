/** A register value of the error path in words and as JSON. */
import { type Json, type StructNode, type Tree, toJson } from "../layout/index.ts";
import { levelOf } from "./exception-entry.ts";
import {
  fieldsOf,
  HypervisorConfiguration,
  maskOf,
  ProcessorFeatures,
  ProcessorState,
  SecureConfiguration,
  SystemControl,
  SystemControl2,
} from "./registers.ts";
import {
  DISR_FORMS,
  decodeDisr,
  decodeEsr,
  decodeVsesr,
  disrProblems,
  ESR_FORMS,
  esrFromDisr,
  esrFromVsesr,
  esrProblems,
  esrSummary,
  type Features,
  type Problem,
  RAS,
  registerTrees,
  type SErrorVerdict,
  serrorVerdict,
  VSESR_FORMS,
  vsesrProblems,
} from "./syndrome.ts";

export interface Explanation {
  readonly value: bigint;
  /** Which form of the register applies; the register's name where there is one form only. */
  readonly form: string;
  /** One line. */
  readonly summary: string;
  readonly trees: readonly Tree[];
  readonly fields: Json;
  readonly problems: readonly Problem[];
  /** For an SError: how bad it is, and what the kernel does. */
  readonly severity?: SErrorVerdict;
}

interface Register {
  readonly title: string;
  explain(value: bigint, features: Features): Explanation;
}
/** Without `problems` the layout names only some fields of its register. */
const inForm = (form: string, layout: StructNode, value: bigint, summary: string, problems: readonly Problem[] | undefined): Explanation => ({
  value,
  form,
  summary,
  trees: registerTrees(layout, value, problems !== undefined),
  fields: (toJson(layout, { bits: fieldsOf(layout, value) }) as { bits: Json }).bits,
  problems: problems ?? [],
});
const severe = (explanation: Explanation, value: bigint): Explanation => ({ ...explanation, severity: serrorVerdict(value) });
const plain = (layout: StructNode, summary: (value: bigint) => string): Register => ({
  title: layout.name,
  explain: (value) => inForm(layout.name, layout, value, summary(value), undefined),
});
const isSet = (layout: StructNode, field: string, value: bigint) => (value & maskOf(layout, field)) !== 0n;

/** Registers by the word people say for them. */
export const EXPLAINED: Readonly<Record<string, Register>> = {
  esr: {
    title: "ESR_EL1, ESR_EL2 or ESR_EL3",
    explain: (value, features) => {
      const { form } = decodeEsr(value);
      const explanation = inForm(form, ESR_FORMS[form], value, esrSummary(value), esrProblems(value, features));
      return form === "serror" || form === "implementationDefinedSError" ? severe(explanation, value) : explanation;
    },
  },
  vsesr: {
    title: "VSESR_EL2",
    explain: (value, features) => {
      const { form } = decodeVsesr(value);
      return severe(inForm(form, VSESR_FORMS[form], value, esrSummary(esrFromVsesr(value)), vsesrProblems(value, features)), value);
    },
  },
  disr: {
    title: "DISR_EL1 or VDISR_EL2",
    explain: (value, features) => {
      const { form, fields } = decodeDisr(value);
      const summary = fields.a ? `a deferred ${esrSummary(esrFromDisr(value))}` : "no SError was deferred";
      const explanation = inForm(form, DISR_FORMS[form], value, summary, disrProblems(value, features));
      return fields.a ? severe(explanation, value) : explanation;
    },
  },
  spsr: plain(ProcessorState, (value) => `${levelOf(value)}, SErrors ${isSet(ProcessorState, "a", value) ? "masked" : "not masked"}`),
  hcr: plain(HypervisorConfiguration, (value) => {
    const to = (field: string) => (isSet(HypervisorConfiguration, "tge", value) || isSet(HypervisorConfiguration, field, value) ? "EL2" : "EL1");
    return `SErrors go to ${to("amo")}, external aborts to ${to("tea")}`;
  }),
  scr: plain(SecureConfiguration, (value) => (isSet(SecureConfiguration, "ea", value) ? "errors go to EL3 first" : "errors do not go to EL3")),
  sctlr: plain(SystemControl, (value) =>
    isSet(SystemControl, "iesb", value) ? "errors are synchronised at every change of level" : "changes of level do not synchronise errors",
  ),
  sctlr2: plain(SystemControl2, (value) =>
    isSet(SystemControl2, "ease", value) ? "external aborts arrive at the SError vector" : "external aborts arrive at the synchronous vector",
  ),
  pfr0: plain(ProcessorFeatures, (value) => `RAS extension: ${String(fieldsOf(ProcessorFeatures, value).ras)}`),
};

/** Explain a register value. @throws TypeError for a name that is not in `EXPLAINED`. */
export function explainRegister(name: string, value: bigint, features: Features = RAS): Explanation {
  const register = Object.hasOwn(EXPLAINED, name) ? EXPLAINED[name] : undefined;
  if (!register) throw new TypeError(`${name} is none of ${Object.keys(EXPLAINED).join(", ")}`);
  return register.explain(value, features);
}
