// Alerts about secrets and certificates that expire, and secrets that are no longer used. Times start at the epoch.
import { fires, type RuleCase, silent } from './rule-case.ts';

export const SECRETS: readonly RuleCase[] = [
  fires('SecretExpiresSoon', 'six days before the end of the only secret, also without traffic', {
    series: {
      'secret_not_after_timestamp_seconds{secret="current"}': '604800x600',
      'secret_matches_total{route="/notify",secret="current"}': '0x600',
      'secret_matches_total{route="unmatched",secret="current"}': '0x600',
    },
    alerts: { '1d': ['SecretExpiresSoon{secret="current",severity="warning"}'] },
    summary: 'Secret current of shop hooks expires in 6d 0h 0m 0s.',
    description: 'From then on deliveries signed with it are refused.',
  }),
  fires('SecretExpiresSoon', 'for an idle secret that a route has alone, whatever happens on another route', {
    series: {
      'secret_not_after_timestamp_seconds{secret="alone"}': '604800x600',
      'secret_matches_total{route="/quiet",secret="alone"}': '0x600',
      'secret_matches_total{route="/busy",secret="alone"}': '0x600',
      'secret_matches_total{route="/busy",secret="new"}': '0+5x600',
    },
    alerts: { '30h': ['SecretExpiresSoon{secret="alone",severity="warning"}'] },
  }),
  silent(
    'SecretExpiresSoon',
    'long before, after the end, for a replaced value, and once another secret has taken over',
    {
      series: {
        'secret_not_after_timestamp_seconds{secret="far"}': '1209600x600',
        'secret_not_after_timestamp_seconds{secret="over"}': '3600x600',
        'secret_not_after_timestamp_seconds{secret="far.previous"}': '172800x600',
        'secret_not_after_timestamp_seconds{secret="old"}': '604800x600',
        'secret_matches_total{route="/notify",secret="old"}': '0x600',
        'secret_matches_total{route="/notify",secret="far"}': '0+5x600',
        'secret_matches_total{route="unmatched",secret="old"}': '0x600',
        'secret_matches_total{route="unmatched",secret="far"}': '0x600',
      },
      alerts: { '30h': [] },
    },
  ),
  fires('ExpiredSecretUsed', 'at the first such request, refused or reported', {
    series: {
      'requests_total{route="/notify",decision="rejected",reason="expired_secret"}': '0x12 1x50',
      'requests_total{route="/trial",decision="reported",reason="expired_secret"}': '0x12 1x50',
    },
    alerts: {
      '80m': [
        'ExpiredSecretUsed{route="/notify",severity="warning"}',
        'ExpiredSecretUsed{route="/trial",severity="warning"}',
      ],
    },
  }),
  silent('ExpiredSecretUsed', 'without one, and an hour after the last', {
    series: {
      'requests_total{route="/notify",decision="rejected",reason="expired_secret"}': '0x12 1x50',
      'requests_total{route="/notify",decision="rejected",reason="missing_signature"}': '0+1x62',
    },
    alerts: { '50m': [], '150m': [] },
  }),
  fires('SecretExpiresSoon', 'in the last hours of an overlap, while senders still use the old value', {
    series: {
      'secret_not_after_timestamp_seconds{secret="current.previous"}': '86400x290',
      'secret_matches_total{route="/notify",secret="current.previous"}': '0+1x290',
    },
    alerts: { '17h': [], '20h': ['SecretExpiresSoon{secret="current.previous",severity="warning"}'] },
    summary: 'Secret current.previous of shop hooks expires in 4h 0m 0s.',
    description: 'From then on deliveries signed with it are refused.',
  }),
  silent('SecretExpiresSoon', 'once nobody uses the old value any more', {
    series: {
      'secret_not_after_timestamp_seconds{secret="current.previous"}': '86400x290',
      'secret_matches_total{route="/notify",secret="current.previous"}': '0+1x100 100x190',
      'secret_matches_total{route="/notify",secret="current"}': '0x100 0+1x190',
    },
    alerts: { '20h': [], '23h': [] },
  }),
  fires('CertificateExpiresSoon', 'twelve days before the end, for one', {
    series: { 'tls_certificate_not_after_timestamp_seconds{certificate="listen"}': '1038000x6' },
    alerts: { '20m': ['CertificateExpiresSoon{certificate="listen",severity="warning"}'] },
    summary: 'The listen certificate of shop hooks expires in 12d 0h 0m 0s.',
    description: 'From then on clients that check it refuse to connect.',
  }),
  silent('CertificateExpiresSoon', 'long before', {
    series: { 'tls_certificate_not_after_timestamp_seconds{certificate="listen"}': '7776000x6' },
    alerts: { '20m': [] },
  }),
  fires('CertificateExpiresSoon', 'two days before the end', {
    series: { 'tls_certificate_not_after_timestamp_seconds{certificate="upstream_client"}': '174000x6' },
    alerts: { '20m': ['CertificateExpiresSoon{certificate="upstream_client",severity="critical"}'] },
    summary: 'The upstream_client certificate of shop hooks expires in 2d 0h 0m 0s.',
    description: 'Clients that check it refuse to connect.',
  }),
  fires('CertificateExpiresSoon', 'behind the end', {
    series: { 'tls_certificate_not_after_timestamp_seconds{certificate="listen"}': '600x6' },
    alerts: { '20m': ['CertificateExpiresSoon{certificate="listen",severity="critical"}'] },
    summary: 'The listen certificate of shop hooks has expired.',
    description: 'Clients that check it refuse to connect.',
  }),
];
