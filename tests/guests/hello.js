export function run(s) {
  return "js says hello " + s;
}
