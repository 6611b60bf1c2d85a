<?php

namespace App\Models;

use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\Relations\BelongsTo;

class CampaignLog extends Model
{
    public const PENDING = 'pending';
    public const SENDING = 'sending';
    public const SENT = 'sent';
    public const FAILED = 'failed';

    protected $fillable = ['status', 'error', 'sent_at'];

    protected $casts = ['sent_at' => 'datetime'];

    public function campaign(): BelongsTo
    {
        return $this->belongsTo(Campaign::class);
    }

    public function contact(): BelongsTo
    {
        return $this->belongsTo(Contact::class);
    }

    /** Only one worker wins the row, whatever else is queued for it. */
    public static function claim(int $id): bool
    {
        return self::move($id, self::PENDING, self::SENDING);
    }

    public static function move(int $id, string $from, string $to, array $values = []): bool
    {
        return self::whereKey($id)->where('status', $from)->update(['status' => $to] + $values) === 1;
    }

    public static function countByStatus(?int $campaignId = null): array
    {
        $counts = self::query()
            ->when($campaignId, fn ($query) => $query->where('campaign_id', $campaignId))
            ->groupBy('status')
            ->selectRaw('status, COUNT(*) AS total')
            ->pluck('total', 'status')
            ->map(fn ($total) => (int) $total)
            ->all();

        return $counts + array_fill_keys([self::PENDING, self::SENDING, self::SENT, self::FAILED], 0);
    }
}
