// Portkey's gateway 1.15.2 changes headers of a Response which Hono's server, that it runs on,
// hands it as unchangeable: every stream is answered with 500. With Node's own Response it works.
const define = Object.defineProperty;
Object.defineProperty = (on, name, how) =>
  on === globalThis && name === "Response" ? on : define(on, name, how);
