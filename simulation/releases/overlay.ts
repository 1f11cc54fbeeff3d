/** The same, with other methods in place of some. One of its many is called at a time: they are not copied for it. */
export function overlay<T extends object>(base: T, methods: Partial<T>): T {
  return new Proxy(base, {
    get: (of, name) => Reflect.get(Object.hasOwn(methods, name) ? methods : of, name) as unknown,
  });
}
