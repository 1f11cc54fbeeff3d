/**
 * Seeds in which a situation is seen with certainty enough: it comes in ten times as many of them as it takes, so that a run
 * without it is no accident.
 */
export const OFTEN = 2_000;
export const SELDOM = 5_000;
export const RARE = 20_000;
