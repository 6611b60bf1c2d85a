<?php

namespace App\Services;

use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Queue;
use Illuminate\Support\Facades\Redis;
use RuntimeException;
use Throwable;

class HealthChecks
{
    private const LOWEST_FREE_DISK_SHARE = 0.05;

    public function __construct(private WhatsAppClient $whatsApp)
    {
    }

    public function database(): array
    {
        DB::select('SELECT 1');

        return [];
    }

    public function detailed(): array
    {
        return array_map([$this, 'measure'], [
            'database' => fn () => $this->database(),
            'redis' => fn () => $this->redis(),
            'queue' => fn () => ['length' => Queue::size()],
            'whatsapp' => fn () => $this->whatsApp(),
            'disk' => fn () => $this->disk(),
        ]);
    }

    private function measure(callable $check): array
    {
        $start = microtime(true);

        try {
            $result = $check() + ['status' => 'ok'];
        } catch (Throwable $e) {
            // The class, not the message: this page is public and messages name hosts and users.
            $result = ['status' => 'failed', 'error' => class_basename($e)];
        }

        return $result + ['ms' => round((microtime(true) - $start) * 1000, 1)];
    }

    private function redis(): array
    {
        Redis::connection()->ping();

        return [];
    }

    private function whatsApp(): array
    {
        $health = $this->whatsApp->health();

        return [
            'status' => $health['status'] === 'ok' ? 'ok' : 'failed',
            'version' => $health['version'],
            'sessions' => $health['sessions'],
        ];
    }

    private function disk(): array
    {
        $free = round(disk_free_space(storage_path()) / disk_total_space(storage_path()), 3);

        if ($free < self::LOWEST_FREE_DISK_SHARE) {
            throw new RuntimeException('Disk is almost full.');
        }

        return ['free_share' => $free];
    }
}
