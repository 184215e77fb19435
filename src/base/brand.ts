/** Types that share a representation but must not be mixed up. */
declare const brand: unique symbol;

/** A `Base` that only the constructor function of the same name may make. */
export type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };
