/**
 * Public prices, to say about what a rotation costs. Free tiers, discounts and taxes are not in them, and they change: a
 * sum by them is an estimate, and says which region and date it is of.
 */
export interface PublicPrice {
  /** What one unit is. */
  readonly unit: string;
  /** US dollars for `per` units. */
  readonly dollars: number;
  readonly per: number;
  readonly region: string;
  /** When it was looked up. */
  readonly date: string;
  /** The page that has the current one. */
  readonly source: string;
}

const OF = { region: 'us-east-1', date: '2026-11' } as const;

export const PUBLIC_PRICES = {
  'sqs-request': {
    ...{ unit: 'SQS request of up to 64 KiB, standard queue', dollars: 0.4, per: 1_000_000, ...OF },
    source: 'https://aws.amazon.com/sqs/pricing/',
  },
  'dynamodb-write-unit': {
    ...{ unit: 'DynamoDB write request unit, on demand', dollars: 0.625, per: 1_000_000, ...OF },
    source: 'https://aws.amazon.com/dynamodb/pricing/on-demand/',
  },
  'dynamodb-read-unit': {
    ...{ unit: 'DynamoDB read request unit, on demand', dollars: 0.125, per: 1_000_000, ...OF },
    source: 'https://aws.amazon.com/dynamodb/pricing/on-demand/',
  },
  'step-functions-transition': {
    ...{ unit: 'Step Functions state transition, standard', dollars: 0.025, per: 1_000, ...OF },
    source: 'https://aws.amazon.com/step-functions/pricing/',
  },
  'kms-request': {
    ...{ unit: 'KMS request, symmetric', dollars: 0.03, per: 10_000, ...OF },
    source: 'https://aws.amazon.com/kms/pricing/',
  },
  'lambda-request': {
    ...{ unit: 'Lambda request', dollars: 0.2, per: 1_000_000, ...OF },
    source: 'https://aws.amazon.com/lambda/pricing/',
  },
  'lambda-gb-second': {
    ...{ unit: 'Lambda GB-second, arm64', dollars: 0.000_013_333_4, per: 1, ...OF },
    source: 'https://aws.amazon.com/lambda/pricing/',
  },
} as const satisfies Record<string, PublicPrice>;

export type PriceName = keyof typeof PUBLIC_PRICES;

export interface PricedPart {
  readonly price: PriceName;
  readonly units: number;
  readonly dollars: number;
}

/** Pure. */
export function priceOf(units: Readonly<Partial<Record<PriceName, number>>>): {
  readonly dollars: number;
  readonly parts: readonly PricedPart[];
} {
  const parts = Object.entries(PUBLIC_PRICES).flatMap(([name, { dollars, per }]): PricedPart[] => {
    const count = isPriceName(name) ? (units[name] ?? 0) : 0;
    return count === 0 || !isPriceName(name)
      ? []
      : [{ price: name, units: count, dollars: (count * dollars) / per }];
  });
  return { dollars: parts.reduce((sum, part) => sum + part.dollars, 0), parts };
}

function isPriceName(name: string): name is PriceName {
  return Object.hasOwn(PUBLIC_PRICES, name);
}
