import type { FaultKind } from '../faults.ts';
import type { Profile } from './profiles.ts';

/**
 * A break of the protocol: a small change of the code, under a name. The simulation must find each, or it would not find
 * such a mistake if somebody made it.
 */
export interface Mutant {
  readonly name: string;
  /** In one line: what is wrong then. */
  readonly breaks: string;
  /** The invariants of docs/protocol.md that it endangers. */
  readonly rules: readonly string[];
  readonly edits: readonly Edit[];
  /** Kinds of faults and actions that bring it to light, where the plans of most seeds have none. */
  readonly needs?: readonly FaultKind[];
  /** What the plans are bent to, where those of most seeds hardly meet it. */
  readonly profile?: Profile;
}

/** `from` stands in the file exactly once. */
export interface Edit {
  /** From the project's folder. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}
