/** How far another clock is from ours. */
import { type Finding, ok, problem } from './check.ts';

/** The other clock minus ours lies between these, in ms. */
export interface Offset {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Rows carry the exchange's time, samples and retention ours: a second apart is already wrong. */
const ALARM_MS = 500;

/** An alarm only where it is sure: the answer may have been long on its way. */
export function clockFinding({ fromMs, toMs }: Offset, whose: string): Finding {
  const sure = fromMs > ALARM_MS ? fromMs : toMs < -ALARM_MS ? -toMs : 0;
  if (sure > 0) {
    const direction = fromMs > 0 ? 'ahead of' : 'behind';
    return problem(
      `the clock of ${whose} is ${(sure / 1000).toFixed(1)} s or more ${direction} ours`,
      'run an NTP client on both machines (chrony, systemd-timesyncd): timedatectl status',
    );
  }
  const most = Math.max(Math.abs(fromMs), Math.abs(toMs));
  return ok(
    `that of ${whose} is ${most < 1 ? 'within 1 ms' : `${Math.ceil(most)} ms at the most`} from ours`,
  );
}
