/** What HGETALL gives; nothing in it: the key does not exist (any more). */
export type Fields = Readonly<Record<string, string>>;
