/**
 * Seeds in which a situation surely is seen: it comes about fifteen times or more in so many, so that a run without it is no
 * chance (e^-15).
 */
export const OFTEN = 2_000;
export const SELDOM = 5_000;
export const RARE = 20_000;
