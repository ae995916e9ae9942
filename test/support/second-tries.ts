import type { Reporter, TestCase, TestModule } from 'vitest/node';

/** Tells at the end of a run which tests passed only when they were tried again, each with its first failure. */
export default class SecondTries implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const flaky = modules.flatMap(({ children }) =>
      [...children.allTests()].filter((test) => test.diagnostic()?.flaky),
    );
    if (flaky.length === 0) return;
    console.log(`\nPassed only at the second try: ${flaky.length}\n`);
    for (const test of flaky)
      console.log(`  ${test.module.relativeModuleId} > ${test.fullName}\n${firstFailure(test)}\n`);
  }
}

function firstFailure(test: TestCase): string {
  const [error] = test.result().errors ?? [];
  const lines = `${error?.stack ?? error?.message}\n${error?.diff ?? ''}`.trim().split('\n');
  const ours = lines.filter((line) => !/^\s+at .*(node_modules|<anonymous>)/.test(line));
  return ours.map((line) => `    ${line}`).join('\n');
}
