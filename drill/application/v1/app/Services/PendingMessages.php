<?php

namespace App\Services;

use App\Jobs\SendCampaignMessage;
use App\Models\CampaignLog;
use Illuminate\Support\Collection;
use Illuminate\Support\Facades\Queue;
use Illuminate\Support\Facades\Redis;

class PendingMessages
{
    private const CHUNK = 1000;
    private const STALE_MINUTES = 5;

    /** Queues every unsent row that lost its job and returns how many there were. */
    public function requeue(): int
    {
        // Rows first, queue second: a job that ends in between costs a needless job, which then finds its row claimed.
        $stale = $this->staleRows();
        $candidates = CampaignLog::where('status', CampaignLog::PENDING)->pluck('id')->merge($stale);
        $lost = $candidates->diff($this->queuedLogIds())->values();

        foreach ($lost->intersect($stale)->chunk(self::CHUNK) as $ids) {
            CampaignLog::whereKey($ids)->where('status', CampaignLog::SENDING)->update(['status' => CampaignLog::PENDING]);
        }

        foreach ($lost->mapInto(SendCampaignMessage::class)->chunk(self::CHUNK) as $jobs) {
            Queue::bulk($jobs->all());
        }

        return $lost->count();
    }

    private function staleRows(): Collection
    {
        return CampaignLog::where('status', CampaignLog::SENDING)
            ->where('updated_at', '<', now()->subMinutes(self::STALE_MINUTES))
            ->pluck('id');
    }

    private function queuedLogIds(): Collection
    {
        $ids = collect();

        foreach ($this->payloads() as $payload) {
            $ids->push(json_decode($payload, true)['campaign_log_id'] ?? null);
        }

        return $ids->filter();
    }

    private function payloads(): iterable
    {
        $redis = Redis::connection(config('queue.connections.redis.connection'));
        $key = 'queues:'.config('queue.connections.redis.queue');

        for ($start = 0; $page = $redis->lrange($key, $start, $start + self::CHUNK - 1); $start += self::CHUNK) {
            yield from $page;
        }

        yield from $redis->zrange("{$key}:delayed", 0, -1);
        yield from $redis->zrange("{$key}:reserved", 0, -1);
    }
}
